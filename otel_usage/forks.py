"""What objects with threads, locks or connections do in the children that their process forks."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable


def call_in_children(method: Callable[[], object]) -> None:
    """Call a method of an object in every child that the process forks, as long as the object lives.

    Weak, because a hook that is registered once stays for the life of the process.

    Args:
        method: bound to the object.
    """
    weak = weakref.WeakMethod(method)
    os.register_at_fork(after_in_child=lambda: (alive := weak()) and alive())
