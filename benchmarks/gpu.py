"""One sitting at a machine with a GPU: ``python -m benchmarks.gpu``, or with ``--dry-run`` anywhere.

Encode and decode, eager PyTorch and ours side by side, for every variant that the machine can run; latencies are
medians on a quiet device, transfers of pictures included. Each contestant runs in a process of its own, for TF32 is
decided by the environment, and says in one sentence why it cannot run. It has not been run on a GPU.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.flops import architecture_flops
from benchmarks.models import MODELS, ModelFolder, make, photographs
from flowxfer import Transferer
from flowxfer.bundle import Bundle, LatentKind, Manifest
from flowxfer.errors import FlowxferError

Call = Callable[[], Any]


@dataclass(frozen=True)
class Contestant:
    """How one way of running is set up: ``bundle`` is a folder of the model's, or None for eager PyTorch."""

    bundle: str | None
    options: dict[str, Any]
    tf32: bool = False


_CUDA, _GRAPHS = {"providers": ["cuda"]}, {"providers": ["cuda"], "cuda_graphs": True}
_TENSORRT = {"providers": ["tensorrt"], "cuda_graphs": True}
CONTESTANTS = {
    "eager": Contestant(None, {}),
    "eager, TF32": Contestant(None, {}, tf32=True),
    "exact-fp32": Contestant("exact-fp32", _CUDA),
    "exact-fp32, graphs": Contestant("exact-fp32", _GRAPHS),
    "exact-fp32 in TF32, graphs": Contestant("exact-fp32", _GRAPHS | {"tf32": True}, tf32=True),
    "exact-fp16, graphs": Contestant("exact-fp16", _GRAPHS),
    "fp32, graphs": Contestant("fp32", _GRAPHS),
    "mixed, graphs": Contestant("mixed", _GRAPHS),
    "TensorRT fp32": Contestant("tensorrt-fp32", _TENSORRT),
    "TensorRT mixed": Contestant("tensorrt-mixed", _TENSORRT),
}
DRY = {"eager": CONTESTANTS["eager"], "exact-fp32": Contestant("exact-fp32", {"providers": ["cpu"], "threads": 1})}


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--dry-run", action="store_true", help="a tiny model on the CPU, to see that it works")
    parser.add_argument("--models", nargs="+", default=["synthetic-64", "recipe-256-deep"], choices=list(MODELS))
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 2, 4, 8, 16, 32])
    parser.add_argument("--seconds", type=float, default=2.0, help="for each figure")
    parser.add_argument("--limit", type=int, default=500, help="seconds that a contestant may take, engines included")
    parser.add_argument("--output", "-o", type=Path, help="a JSON file for all figures")
    parser.add_argument("--child", nargs=2, metavar=("CONTESTANT", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.dry_run:
        options.models, options.batches, options.seconds = ["tiny-32"], [1, 2], 0.1
    if options.child:
        name, folder = options.child
        print(json.dumps(measure((DRY if options.dry_run else CONTESTANTS)[name], Path(folder), options)))
        return
    results = {}
    with tempfile.TemporaryDirectory() as temporary:
        for model in options.models:
            made = _make(model, Path(temporary), dry=options.dry_run)
            results[model] = {name: _child(name, made, options) for name in (DRY if options.dry_run else CONTESTANTS)}
            print(_table(model, results[model]), flush=True)
    if options.output:
        options.output.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def _make(name: str, folder: Path, *, dry: bool) -> ModelFolder:
    """A model's weights and every bundle that a contestant wants."""
    from flowxfer.export import bundle_to_tensorrt, export_bundle

    model = make(name, folder)
    if not dry:
        source = Bundle.open(model.exact)
        kind = source.manifest.latents
        glow, write = model.glow(), partial(export_bundle, name=name, licence="CC0-1.0", origin="benchmarks.gpu")
        write(glow, model.path / "exact-fp16", latents=kind, precision="exact-fp16")
        write(glow, model.path / "mixed", latents=kind, precision="mixed")
        bundle_to_tensorrt(source, model.path / "tensorrt-fp32")
        bundle_to_tensorrt(source, model.path / "tensorrt-mixed", precision="mixed")
    return model


def _child(name: str, model: ModelFolder, options: argparse.Namespace) -> dict[str, Any]:
    """One contestant's figures, from a process of its own."""
    command = [sys.executable, "-m", "benchmarks.gpu", "--child", name, str(model.path)]
    command += ["--batches", *map(str, options.batches), "--seconds", str(options.seconds)]
    contestants = DRY if options.dry_run else CONTESTANTS
    environment = dict(os.environ) if contestants[name].tf32 else {**os.environ, "NVIDIA_TF32_OVERRIDE": "0"}
    if options.dry_run:
        command.append("--dry-run")
    try:
        run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=options.limit)
    except subprocess.TimeoutExpired:
        return {"failed": f"not done in {options.limit} s"}
    if run.returncode:
        return {"failed": (run.stderr.strip().splitlines() or ["no word"])[-1]}
    found: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    return found


def measure(contestant: Contestant, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Latencies in ms by batch, the share of the fp16 matrix peak, and what a round trip loses."""
    from flowxfer.glow.weights import load

    glow = load(folder / "weights.safetensors")
    flops = 2 * architecture_flops(glow.config, priors=True)  # an image there and back
    try:
        kind = Manifest.read(folder / "exact-fp32").latents
        calls = _eager(glow, kind, contestant.tf32) if contestant.bundle is None else _ours(contestant, folder)
        batches, peak = {}, matrix_peak()
        for batch in options.batches:
            images = photographs(glow.config.image_size, batch)
            encode, decode = calls(images)
            times = [_median_ms(call, options.seconds) for call in (encode, decode)]
            off = np.abs(decode().astype(int) - images)
            batches[batch] = {
                "encode_ms": times[0],
                "decode_ms": times[1],
                "images_per_s": 1e3 * batch / sum(times),
                "share_of_fp16_peak": flops * batch / (1e-3 * sum(times)) / peak,
                "wrong": float((off > 0).mean()),
                "largest_error": int(off.max()),
            }
    except FlowxferError as error:
        return {"failed": str(error)}
    return {"batches": batches, "fp16_peak_tflops": peak / 1e12, "device": device_name()}


def _ours(contestant: Contestant, folder: Path) -> Callable[[np.ndarray], tuple[Call, Call]]:
    flow = Transferer(folder / str(contestant.bundle), **contestant.options)

    def calls(images: np.ndarray) -> tuple[Call, Call]:
        latents = flow.encode(images)
        return lambda: flow.encode(images), lambda: flow.decode(latents)

    return calls


def _eager(glow: Any, kind: LatentKind, tf32: bool) -> Callable[[np.ndarray], tuple[Call, Call]]:
    import torch

    from benchmarks.peers.eager import EagerGlow
    from flowxfer.glow.pixels import from_pixels, to_pixels

    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = EagerGlow(glow, kind).to(device).eval()

    def calls(images: np.ndarray) -> tuple[Call, Call]:
        pixels = torch.from_numpy(images)

        @torch.inference_mode()
        def encode() -> Any:
            latents = model.encode(from_pixels(pixels.to(device)))
            _synchronise()
            return latents

        latents = encode()

        @torch.inference_mode()
        def decode() -> Any:
            return to_pixels(model.decode(latents)).cpu().numpy()

        return encode, decode

    return calls


def matrix_peak() -> float:
    """Operations a second of a large fp16 matrix product on the GPU, or of an fp32 one on the CPU, as measured."""
    import torch

    on_gpu = torch.cuda.is_available()
    size, dtype, device = (8192, torch.float16, "cuda") if on_gpu else (512, torch.float32, "cpu")
    a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))

    def product() -> None:
        for _ in range(10):
            torch.matmul(a, b)
        _synchronise()

    return 10 * 2 * size**3 / (1e-3 * _median_ms(product, 0.5))


def device_name() -> str:
    """The GPU's name, or that there is none."""
    import torch

    return str(torch.cuda.get_device_name(0)) if torch.cuda.is_available() else "no GPU"


def _synchronise() -> None:
    import torch

    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _median_ms(call: Call, seconds: float) -> float:
    for _ in range(3):
        call()
    times: list[float] = []
    while sum(times) < seconds or len(times) < 5:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return 1e3 * statistics.median(times)


def _table(model: str, results: dict[str, dict[str, Any]]) -> str:
    header = "| batch | encode ms | decode ms | images/s | of fp16 peak | wrong pixels | largest error |"
    lines = [f"\n## {model}\n", "| contestant " + header, "|---" * 8 + "|"]
    for name, found in results.items():
        if "failed" in found:
            lines.append(f"| {name} | {found['failed']} | | | | | | |")
        for batch, row in found.get("batches", {}).items():
            lines.append(
                f"| {name} | {batch} | {row['encode_ms']:.2f} | {row['decode_ms']:.2f} | {row['images_per_s']:.1f}"
                f" | {row['share_of_fp16_peak']:.1%} | {row['wrong']:.4%} | {row['largest_error']} |"
            )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
