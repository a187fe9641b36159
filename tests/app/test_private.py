"""A browser's files are its own, there is room for so many, and those of the dead are removed."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

pytest.importorskip("gradio")

from flowxfer.app import serving
from flowxfer.app.folder import FOLDER
from flowxfer.files import locked_folder
from tests.serve.conftest import face, png


@pytest.fixture(scope="module")
def small(tiny_transferer):
    """An app with little room for files."""
    with serving(tiny_transferer, port=None, max_files_bytes=30 << 20) as address:
        yield address


@contextlib.contextmanager
def browser(address):
    """What keeps cookies, as a browser does."""
    with httpx2.Client(base_url=address, timeout=60) as client:
        assert client.get("/").status_code == 200
        yield client


def upload(client, data=None):
    answer = client.post("/gradio_api/upload", files={"files": ("face.png", data or png(face(0)))})
    assert answer.status_code == 200, answer.text
    return answer.json()[0]


def test_what_a_browser_uploads_only_it_reads(address):
    with browser(address) as one, browser(address) as other:
        path = upload(one)
        assert one.get(f"/gradio_api/file={path}").content == png(face(0))
        for route in ("file=", "file/", "file=/./", "file=//"):
            assert other.get(f"/gradio_api/{route}{path}").status_code in (403, 404)
        with httpx2.Client(base_url=address) as nobody:
            assert nobody.get(f"/gradio_api/file={path}").status_code == 403


@pytest.mark.parametrize("route", ["queue/join", "run/predict", "api/predict", "call/predict", "reset"])
def test_nor_does_another_name_it_as_an_input(address, route):
    with browser(address) as one, browser(address) as other:
        path = upload(one)
        for data in ({"path": path}, [{"image": {"path": path, "meta": {"_type": "gradio.FileData"}}}]):
            body = {"data": [data], "fn_index": 0, "session_hash": "abc"}
            assert other.post(f"/gradio_api/{route}", json=body).status_code == 403
            assert one.post(f"/gradio_api/{route}", json=body).status_code != 403


@pytest.mark.parametrize("path", ["/etc/passwd", "../../etc/passwd", str(Path(__file__)), str(FOLDER), "", "\0"])
def test_other_files_are_nobodys(address, path):
    with browser(address) as client:
        assert client.get("/gradio_api/file=" + path.replace("\0", "%00")).status_code in (403, 404)


def test_no_address_is_fetched(address):
    with browser(address) as client:
        for what in ("proxy=http://192.0.2.1/", "file=http://192.0.2.1/", "file=HTTPS://192.0.2.1/"):
            assert client.get(f"/gradio_api/{what}").status_code == 403


def test_what_the_page_shows_to_everybody_each_may_read(address):
    with browser(address) as one, browser(address) as other:
        for client in (one, other):
            config = client.get("/config").json()
            paths = [path for path in _paths(config) if Path(path).is_file()]
            assert paths  # the film that is there at once
            assert {client.get(f"/gradio_api/file={path}").status_code for path in paths} == {200}


def _paths(value):
    if isinstance(value, dict):
        yield from (each for key, each in value.items() if key == "path" and isinstance(each, str))
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from _paths(each)


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
@pytest.mark.parametrize("path", ["/", "/config", "/gradio_api/upload", "/gradio_api/queue/join"])
def test_a_rebound_name_is_not_answered_and_no_origin_reflected(address, method, path):
    evil = {"Host": "evil.example:7860", "Origin": "http://evil.example:7860", "Access-Control-Request-Method": "POST"}
    with httpx2.Client(base_url=address) as client:
        answer = client.request(method, path, headers=evil)
        assert answer.status_code == 421
        assert "access-control-allow-origin" not in answer.headers
        answer = client.request(method, path, headers=evil | {"Host": client.base_url.netloc.decode()})
        assert answer.status_code == 403
        assert "access-control-allow-origin" not in answer.headers


def test_there_is_room_for_so_many_files(small):
    with browser(small) as client:
        for index in range(5):
            upload(client, png(face(index)) + bytes(4 << 20))
        answer = client.post("/gradio_api/upload", files={"files": ("face.png", bytes(20 << 20))})
        assert answer.status_code == 507
        assert answer.text == "expected files of at most 30 MiB in all; older ones go after an hour"
        chunks = client.post("/gradio_api/upload", content=iter([b"a" * 100]), headers={"Content-Type": "a/b"})
        assert chunks.status_code == 411


def test_leftovers_of_dead_processes_go_and_others_stay(tmp_path):
    code = (
        "import sys, time; from pathlib import Path; from flowxfer.files import locked_folder\n"
        "folder, lock = locked_folder(Path(sys.argv[1]), 'app-'); (folder / 'face.png').write_text('a')\n"
        "print(folder, flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as living:
        alive = Path(living.stdout.readline().strip())
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as killed:
            dead = Path(killed.stdout.readline().strip())
            killed.kill()
        (tmp_path / "app-a file").write_text("of somebody")
        (tmp_path / "app-a link").symlink_to(tmp_path)
        new, lock = locked_folder(tmp_path, "app-")
        assert lock
        names = {path.name for path in tmp_path.iterdir()}
        assert names == {alive.name, new.name, "app-a file", "app-a link"}
        assert not dead.exists()
        assert (alive / "face.png").exists()
        living.kill()


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGHUP])
def test_faces_do_not_outlive_the_app(tiny_bundle, tmp_path, end):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-m", "flowxfer", "app", "--port", str(port), "-m", str(tiny_bundle)]
    # Below nohup the signal would be ignored.
    ends = {"preexec_fn": lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, **ends) as process:
        try:
            assert process.stdout.readline()
            with browser(f"http://127.0.0.1:{port}") as client:
                path = Path(upload(client))
            assert path.is_file()
            process.send_signal(end)
            process.wait(30)
        finally:
            process.kill()
    if end is signal.SIGKILL:
        code = "import flowxfer.app.folder"
        subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    assert not path.exists()
