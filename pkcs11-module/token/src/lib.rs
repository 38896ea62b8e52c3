//! Applications, slots, tokens, sessions, login, objects and search.
