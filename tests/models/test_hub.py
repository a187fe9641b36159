"""Names → bundles, and downloads from a server of our own on the loopback."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from flowxfer import Transferer
from flowxfer.bundle import MANIFEST, Manifest
from flowxfer.directions import openai_latents
from flowxfer.errors import BundleError, DownloadError, MissingExtraError, WeightsError
from flowxfer.models import hub
from flowxfer.models.cache import cache_folder
from flowxfer.models.catalogue import Model
from flowxfer.models.download import fetch

CONTENT = bytes(range(256)) * 8192  # 2 MiB


class Server(ThreadingHTTPServer):
    """Serves CONTENT with ranges; ``cut`` holds, per coming answer, after how many bytes the connection breaks.

    ``files`` has what else it serves, by name.
    """

    def __init__(self):
        self.content, self.etag, self.cut, self.ranges = CONTENT, '"v1"', [], []
        self.files: dict[str, bytes] = {}
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/weights.pb"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        server = self.server
        asked = self.headers.get("Range")
        server.ranges.append(asked)
        content = server.content if self.path == "/weights.pb" else server.files.get(self.path[1:])
        if content is None:
            return self.send_error(404)
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and self._same() else 0
        if start >= len(content):
            return self.send_error(416)
        body = content[start:]
        self.send_response(206 if asked and self._same() else 200)
        self.send_header("Content-Length", str(len(body)))
        if server.etag:
            self.send_header("ETag", server.etag)
        self.end_headers()
        if server.cut:
            body = body[: server.cut.pop(0)]
            self.close_connection = True
        self.wfile.write(body)
        return None

    def _same(self):
        return self.headers.get("If-Range") == self.server.etag

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server():
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FLOWXFER_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("FLOWXFER_OFFLINE", raising=False)
    return tmp_path / "cache"


@pytest.fixture
def model(server, monkeypatch):
    model = Model("published", "a model", "MIT", urls=(server.url,))
    monkeypatch.setitem(hub.MODELS, "published", model)
    return model


@pytest.fixture
def conversion(monkeypatch):
    """Stand-ins for the importer and the exporter; the list of what they were given."""
    import flowxfer.export
    import flowxfer.glow.importers

    calls = []

    def import_weights(path):
        calls.append(("import", path.read_bytes() == CONTENT))
        return "glow"

    def export_bundle(glow, folder, *, name, licence, origin):
        calls.append(("export", glow, name, licence, origin))
        make_bundle(folder)

    monkeypatch.setattr(flowxfer.glow.importers, "import_weights", import_weights, raising=False)
    monkeypatch.setattr(flowxfer.export, "export_bundle", export_bundle, raising=False)
    return calls


def make_bundle(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / MANIFEST).write_text("{}")
    return folder


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if not path.name.endswith(".lock")}


# ---------------------------------------------------------------- names


def test_a_folder_is_itself(tmp_path):
    folder = make_bundle(tmp_path / "mine")
    assert hub.resolve(folder) == folder
    assert hub.resolve(str(folder)) == folder


def test_a_cached_name_goes_before_a_folder_but_not_before_a_path(tmp_path, cache, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_bundle(tmp_path / "mine")
    assert hub.resolve("mine") == Path("mine")
    cached = make_bundle(cache / "models" / "mine")
    assert hub.resolve("mine") == cached
    assert hub.resolve("./mine") == Path("mine")
    assert hub.resolve(Path("mine")) == Path("mine")


def test_the_bundled_model_comes_first(tmp_path, cache, monkeypatch):
    bundled = make_bundle(tmp_path / "bundled" / hub.DEFAULT)
    monkeypatch.setattr(hub, "_bundled", lambda name: bundled.parent / name)
    make_bundle(cache / "models" / hub.DEFAULT)
    assert hub.resolve() == bundled
    assert hub.list_models()[hub.DEFAULT] == "bundled"


def test_unknown_names():
    with pytest.raises(BundleError, match="got 'openai-celeba', which is neither; did you mean openai-celebahq-256"):
        hub.resolve("openai-celeba")
    with pytest.raises(BundleError, match="got 'zzz', which is neither; `flowxfer models` lists the names"):
        hub.resolve("zzz")
    with pytest.raises(BundleError, match=r"got '\.\./\.\./nowhere', which is neither"):
        hub.resolve("../../nowhere")


def test_a_package_without_its_model(tmp_path, monkeypatch):
    monkeypatch.setattr(hub, "_bundled", lambda name: tmp_path / name)
    with pytest.raises(
        BundleError, match=f"expected the model {hub.DEFAULT} inside flowxfer at .*; install flowxfer ag"
    ):
        hub.resolve()


def test_list_models(cache):
    make_bundle(cache / "models" / "mine")
    (cache / "models" / "unfinished").mkdir()
    make_bundle(cache / "models" / ".hidden")
    found = hub.list_models()
    assert found["mine"] == "cached"
    assert found["openai-celebahq-256"] == "to download"
    assert not {"unfinished", ".hidden"} & set(found)


def test_the_cache_is_the_users_unless_told_otherwise(cache, monkeypatch):
    assert cache_folder() == cache
    monkeypatch.setenv("FLOWXFER_CACHE", "~/here")
    assert cache_folder() == Path.home() / "here"
    monkeypatch.delenv("FLOWXFER_CACHE")
    assert cache_folder().name == "flowxfer"


# ---------------------------------------------------------------- downloads


def test_a_download_is_kept_and_its_hash_shown_and_remembered(model, server, cache, caplog):
    seen = []
    path = fetch(model, progress=lambda *arguments: seen.append(arguments))
    digest = hashlib.sha256(CONTENT).hexdigest()
    assert path.read_bytes() == CONTENT
    assert seen[-1] == ("download published", len(CONTENT), len(CONTENT))
    assert names(cache / "downloads" / "published") == {"weights.pb", "weights.pb.json"}
    assert json.loads((path.parent / "weights.pb.json").read_text()) == {"url": server.url, "sha256": digest}
    assert f"first download of published: SHA-256 {digest}, remembered in" in caplog.text

    caplog.clear()
    assert fetch(model) == path
    assert len(server.ranges) == 1  # it was in the cache
    assert not caplog.text


def test_a_broken_connection_is_taken_up_where_it_broke(model, server):
    server.cut = [1_000_000, 500_000]
    assert fetch(model).read_bytes() == CONTENT
    assert server.ranges[0] is None
    starts = [int(range_.removeprefix("bytes=").rstrip("-")) for range_ in server.ranges[1:]]
    assert len(starts) == 2
    assert 0 < starts[0] <= 1_000_000
    assert starts[0] < starts[1] <= 1_500_000


def test_an_interrupted_download_leaves_no_file_and_goes_on_the_next_time(model, server, cache):
    server.cut = [600_000] * 3
    with pytest.raises(
        DownloadError, match=r"but no address gave it \(http://127.*; try again to go on where it stopp"
    ):
        fetch(model)
    assert names(cache / "downloads" / "published") == {"weights.pb.part", "weights.pb.part.validator"}
    assert fetch(model).read_bytes() == CONTENT
    assert int(server.ranges[3].removeprefix("bytes=").rstrip("-")) > 1_000_000
    assert names(cache / "downloads" / "published") == {"weights.pb", "weights.pb.json"}


def test_an_interrupt_from_the_keyboard_can_be_resumed(model, server):
    def stop(what, done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(model, progress=stop)
    assert fetch(model).read_bytes() == CONTENT
    assert server.ranges[1].startswith("bytes=")


def test_halves_of_two_versions_are_not_joined(model, server):
    server.cut = [600_000] * 3
    with pytest.raises(DownloadError):
        fetch(model)
    server.content, server.etag = CONTENT[::-1], '"v2"'
    assert fetch(model).read_bytes() == CONTENT[::-1]


@pytest.mark.parametrize("etag", [None, 'W/"weak"'])
def test_without_a_validator_a_download_begins_anew(model, server, etag):
    server.etag, server.cut = etag, [600_000]
    assert fetch(model).read_bytes() == CONTENT
    assert server.ranges == [None, None]


def test_a_part_longer_than_the_file_begins_anew(model, server, cache):
    folder = cache / "downloads" / "published"
    folder.mkdir(parents=True)
    (folder / "weights.pb.part").write_bytes(CONTENT * 2)
    (folder / "weights.pb.part.validator").write_text('"v1"')
    assert fetch(model).read_bytes() == CONTENT


def test_the_next_address_is_tried(model, server):
    gone = server.url.replace("weights", "gone")
    assert fetch(Model("published", "", "", urls=(gone, server.url))).name == "gone.pb"
    with pytest.raises(
        DownloadError, match=r"no address gave it \(.*404.*other.pb.*put the file at .*other.pb yourself"
    ):
        fetch(Model("published", "", "", urls=(server.url.replace("weights", "other"),)))


def test_a_later_download_must_match_the_first(model, server, cache):
    path = fetch(model)
    path.unlink()
    server.content = CONTENT[:-1] + b"!"
    with pytest.raises(
        DownloadError, match=r"expected the SHA-256 \w{64} of published .*differs.*delete .*weights.pb.j"
    ):
        fetch(model)
    assert names(cache / "downloads" / "published") == {"weights.pb.json"}
    (path.parent / "weights.pb.json").unlink()
    assert fetch(model).read_bytes() == server.content


def test_a_damaged_file_in_the_cache_is_fetched_again(model, server):
    fetch(model).write_bytes(b"damaged")
    assert fetch(model).read_bytes() == CONTENT


def test_a_hash_that_is_known_is_held_to(server):
    right = hashlib.sha256(CONTENT).hexdigest()
    assert fetch(Model("right", "", "", (server.url,), right)).read_bytes() == CONTENT
    with pytest.raises(DownloadError, match="expected the SHA-256 0000"):
        fetch(Model("wrong", "", "", (server.url,), "0" * 64))


def test_a_damaged_memory_is_an_error_not_a_pardon(model, cache):
    fetch(model)
    (cache / "downloads" / "published" / "weights.pb.json").write_text("{}")
    with pytest.raises(DownloadError, match=r"expected a SHA-256 in .*weights.pb.json: 'sha256'; delete it to acc"):
        fetch(model)


def test_offline(model, server, monkeypatch):
    monkeypatch.setenv("FLOWXFER_OFFLINE", "1")
    with pytest.raises(
        DownloadError, match=r"published is not in the cache, and FLOWXFER_OFFLINE .*weights.pb yourself"
    ):
        fetch(model)
    assert server.ranges == []
    monkeypatch.setenv("FLOWXFER_OFFLINE", "0")
    fetch(model)
    monkeypatch.setenv("FLOWXFER_OFFLINE", "1")
    assert fetch(model).read_bytes() == CONTENT


def test_a_cache_that_cannot_be_written(model, cache):
    cache.parent.mkdir(exist_ok=True)
    cache.write_text("a file where the folder should be")
    with pytest.raises(DownloadError, match=r"expected a folder to write to at .*; set FLOWXFER_CACHE"):
        fetch(model)


# ---------------------------------------------------------------- conversion


def test_a_known_model_is_downloaded_converted_and_cached_once(model, server, cache, conversion):
    seen = []
    folder = hub.resolve("published", progress=lambda what, done, total: seen.append(what))
    assert folder == cache / "models" / "published"
    assert conversion == [("import", True), ("export", "glow", "published", "MIT", server.url)]
    assert list(dict.fromkeys(seen)) == ["download published", "import published", "export published"]
    assert hub.resolve("published") == folder
    assert len(conversion) == 2
    assert hub.list_models()["published"] == "cached"
    assert names(cache / "models") == {"published"}


@pytest.fixture
def celeba(server, tiny_bundle, conversion, monkeypatch):
    """A model with 32 px faces whose vectors the server has; what it serves for them."""
    import flowxfer.export

    manifest = Manifest.read(tiny_bundle)
    rng = np.random.default_rng(0)
    levels = [rng.normal(size=(40, *shape)).astype(np.float32) for shape in manifest.latent_shapes]
    file = io.BytesIO()
    np.save(file, openai_latents.flatten(levels))
    vectors = server.url.replace("weights.pb", "z_manipulate.npy")
    server.files[vectors.rsplit("/", 1)[-1]] = file.getvalue()
    monkeypatch.setattr(
        flowxfer.export, "export_bundle", lambda glow, folder, **_: shutil.copytree(tiny_bundle, folder)
    )
    monkeypatch.setitem(
        hub.MODELS, "published", Model("published", "a model", "MIT", (server.url,), attributes=(vectors,))
    )
    return levels


def test_attribute_vectors_come_with_their_model(celeba, cache):
    flow = Transferer("published", threads=1)
    np.testing.assert_array_equal(flow.attributes["Smiling"].levels[0], celeba[0][31:32])
    assert names(cache / "downloads" / "published") == {
        "weights.pb",
        "weights.pb.json",
        "z_manipulate.npy",
        "z_manipulate.npy.json",
    }


def test_a_model_is_whole_without_them(celeba, server, caplog):
    server.files["z_manipulate.npy"] = b"no vectors"
    flow = Transferer("published", threads=1)
    assert not flow.attributes
    assert "published comes without its attribute vectors: expected a .npy file of latents" in caplog.text
    assert "`flowxfer attributes import` makes " in caplog.text


def test_a_model_is_whole_where_no_address_gives_them(celeba, server, caplog):
    del server.files["z_manipulate.npy"]
    assert not Transferer("published", threads=1).attributes
    assert "published comes without its attribute vectors: no address gave them; `flowxfer attributes" in caplog.text


def test_two_at_once_make_one_bundle(model, server, conversion):
    threads = [threading.Thread(target=hub.resolve, args=("published",)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(server.ranges) == 1
    assert len(conversion) == 2


def test_what_the_importer_does_not_understand_stops_it(model, server, cache, conversion, monkeypatch):
    def import_weights(path):
        raise WeightsError("not understood: model/foo")

    monkeypatch.setattr("flowxfer.glow.importers.import_weights", import_weights)
    with pytest.raises(WeightsError, match="not understood: model/foo"):
        hub.resolve("published")
    assert names(cache / "models") == set()
    assert names(cache / "downloads" / "published") == {"weights.pb", "weights.pb.json"}  # not fetched again


def test_an_export_that_fails_leaves_no_bundle(model, cache, conversion, monkeypatch):
    def export_bundle(glow, folder, **options):
        raise OSError("No space left on device")

    monkeypatch.setattr("flowxfer.export.export_bundle", export_bundle)
    with pytest.raises(OSError, match="No space left"):
        hub.resolve("published")
    assert hub.list_models()["published"] == "to download"
    monkeypatch.setattr("flowxfer.export.export_bundle", lambda glow, folder, **options: make_bundle(folder))
    assert hub.resolve("published") == cache / "models" / "published"


def test_without_pytorch_it_says_which_extra(model, server, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    with pytest.raises(MissingExtraError, match=r"converting published needs torch.*flowxfer\[export,import\]"):
        hub.resolve("published")
    assert server.ranges == []  # before hundreds of megabytes are fetched
