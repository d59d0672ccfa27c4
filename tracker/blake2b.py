"""The digest of everything that this program remembers for itself: BLAKE2b, which Python brings with it.

``hashlib`` has the same one. But it loads all of OpenSSL before, which takes a short command as long as judging a session.
"""

from __future__ import annotations

try:
    from _blake2 import blake2b
except ImportError:  # another Python than CPython may have it elsewhere
    from hashlib import blake2b

__all__ = ["blake2b"]
