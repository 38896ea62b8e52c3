"""PyKCS11's tests leave out what SoftHSM 1 did not have, and tell it by the major version of a
library, whoever made it. So no library is older than SoftHSM2 for them.
"""

from PyKCS11 import PyKCS11Lib

of_the_library = PyKCS11Lib.getInfo


def get_info(self):
    info = of_the_library(self)
    info.libraryVersion = max(tuple(info.libraryVersion), (2, 0))
    return info


PyKCS11Lib.getInfo = get_info
