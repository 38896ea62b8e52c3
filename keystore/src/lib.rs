//! PINs, seal, sealed rows and search tags over a dumb, atomic back end.
