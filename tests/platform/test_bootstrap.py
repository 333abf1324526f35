"""The pieces that bring a bare machine to a running instance, each on its own."""

from __future__ import annotations

import ast
import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from console import environment
from console.up import instance, listen, places, roles
from console.up.bootstrap import ROOT
from console.up.processes import alive, leash


def test_a_taken_port_is_refused_in_one_line():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(places.Refused, match=f"^port {port} is taken: .*--port$"):
            listen.listener("127.0.0.1", port)


def test_connections_inherit_the_limits_on_slow_readers():
    with listen.listener("127.0.0.1", 0) as door, socket.create_connection(door.getsockname()) as client:
        accepted, _ = door.accept()
        with accepted:
            if sys.platform == "linux":
                timeout = accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
                assert timeout == listen.USER_TIMEOUT
            buffer = accepted.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
            assert listen.SEND_BUFFER <= buffer <= 2 * listen.SEND_BUFFER  # Linux doubles it for its own bookkeeping
        assert client.recv(1) == b""


def test_a_preferred_port_is_kept_while_it_is_free():
    free = listen.free_port()
    assert listen.free_port(free) == free
    with socket.socket() as other:
        other.bind(("127.0.0.1", free))
        other.listen()
        assert listen.free_port(free) != free


def test_a_data_directory_in_use_is_refused_and_free_again_afterwards(tmp_path):
    data = tmp_path / "with a space" / "data"
    held = instance.open_directory(data)
    with pytest.raises(places.Refused, match=f"in use by process {os.getpid()}"):
        instance.open_directory(data)
    held.close()
    instance.open_directory(data).close()


def test_keys_are_made_once_readable_by_the_owner_alone_and_not_when_given(tmp_path, monkeypatch):
    for name in ("SAYSO_SECRET_KEY", "SAYSO_MASTER_KEY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(f"{name}_FILE", raising=False)
    first = instance.keys(tmp_path)
    contents = {name: Path(path).read_text() for name, path in first.items()}
    assert set(first) == {"SAYSO_SECRET_KEY_FILE", "SAYSO_MASTER_KEY_FILE"}
    assert len(environment.master_key(contents["SAYSO_MASTER_KEY_FILE"].strip())) == 32
    assert all(stat.S_IMODE(os.stat(path).st_mode) == 0o600 for path in first.values())
    os.chmod(tmp_path / "master.key", 0o644)
    assert {name: Path(path).read_text() for name, path in instance.keys(tmp_path).items()} == contents
    assert stat.S_IMODE(os.stat(tmp_path / "master.key").st_mode) == 0o600
    monkeypatch.setenv("SAYSO_MASTER_KEY", "from outside")
    assert set(instance.keys(tmp_path)) == {"SAYSO_SECRET_KEY_FILE"}


def test_another_command_takes_on_the_environment_of_the_chosen_instance(tmp_path, monkeypatch):
    monkeypatch.setenv("DATABASE_URL", "postgresql://elsewhere/x")
    monkeypatch.setenv("SAYSO_SECRET_KEY", "elsewhere")
    monkeypatch.setenv("SAYSO_SECRET_KEY_FILE", "before: what adopt() sets is undone with it")
    instance.save(tmp_path, {"env": {"DATABASE_URL": "postgresql:///here", "SAYSO_SECRET_KEY_FILE": "/here"}})
    instance.adopt(tmp_path)
    assert os.environ["DATABASE_URL"] == "postgresql:///here"
    assert os.environ["SAYSO_SECRET_KEY_FILE"] == "/here" and "SAYSO_SECRET_KEY" not in os.environ
    with pytest.raises(places.Refused, match="there is no instance in"):
        instance.adopt(tmp_path / "nothing")


def test_a_damaged_state_file_is_said_so(tmp_path):
    (tmp_path / instance.STATE).write_text("{")
    with pytest.raises(places.Refused, match="cannot read"):
        instance.load(tmp_path)


def test_sockets_of_a_long_path_fit_the_limit(tmp_path):
    data = tmp_path / ("long " * 30) / ("deep" * 20)
    place = places.runtime(data)
    try:
        assert len(os.fsencode(f"{place}{places.LONGEST_SOCKET_NAME}")) < places.SOCKET_PATH_LIMIT
        assert " " not in str(place)
        assert place == places.runtime(data) != places.runtime(data / "other")
        assert stat.S_IMODE(place.stat().st_mode) & 0o066 == 0  # nobody else reads or writes it
    finally:
        place.rmdir()
        places.runtime(data / "other").rmdir()


def test_a_socket_directory_of_somebody_else_is_refused(tmp_path, monkeypatch):
    place = places.runtime(tmp_path)
    place.rmdir()
    place.symlink_to(tmp_path)
    try:
        with pytest.raises((places.Refused, FileExistsError)):
            places.runtime(tmp_path)
    finally:
        place.unlink()


def test_a_child_does_not_outlive_its_parent(tmp_path):
    """A parent that is killed cannot tidy up: the kernel does it."""
    script = (
        "import subprocess, sys\nfrom console.up.processes import leash\n"
        "child = subprocess.Popen(['sleep', '60'], preexec_fn=leash())\n"
        "print(child.pid, flush=True)\nsys.stdin.read()\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None and parent.stdin is not None
    child = int(parent.stdout.readline())
    assert alive(child)
    descriptor = os.pidfd_open(child) if hasattr(os, "pidfd_open") else None
    parent.kill()
    parent.wait()
    if descriptor is not None:
        import select

        assert select.select([descriptor], [], [], 5)[0], "the child is still there"
        os.close(descriptor)
    parent.stdin.close()
    parent.stdout.close()


def test_leash_gives_a_group_of_its_own():
    child = subprocess.Popen(["sleep", "60"], preexec_fn=leash())
    try:
        assert os.getpgid(child.pid) == child.pid
    finally:
        child.kill()
        child.wait()


def test_an_old_python_hears_one_line(tmp_path):
    """The file must be readable by a Python that is too old, up to the line that says so."""
    text = (ROOT / "manage.py").read_text()
    before = text.split("sys.exit(2)")[0]
    ast.parse(before + "sys.exit(2)\n", feature_version=(3, 4))
    pretend = text.replace("sys.version_info < (3, 11)", "sys.version_info < (9, 0)")
    assert pretend != text
    copy = tmp_path / "manage.py"
    copy.write_text(pretend)
    said = subprocess.run([sys.executable, str(copy), "up"], capture_output=True, text=True, check=False)
    assert said.returncode == 2
    assert said.stderr.startswith("Sayso needs Python 3.11 or newer") and said.stderr.count("\n") == 1


@pytest.mark.django_db
def test_roles_stand_as_the_wall_needs_them():
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT rolname FROM pg_roles WHERE rolname = ANY(%s) AND (rolsuper OR rolbypassrls)", [list(roles.ROLES)]
        )
        assert cursor.fetchall() == []
        cursor.execute(
            "SELECT inherit_option, set_option FROM pg_auth_members"
            " WHERE roleid = 'sayso_system'::regrole AND member = 'sayso_app'::regrole"
        )
        assert cursor.fetchall() == [(False, True)]


def test_the_engine_imports_the_standard_library_alone():
    for path in (ROOT / "console/durable").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                names.append(node.module or "")
            for name in names:
                assert name.split(".")[0] in sys.stdlib_module_names or name.startswith("console.durable"), (
                    f"{path}: {name}"
                )
