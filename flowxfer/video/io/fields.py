"""Interlaced pictures: two fields, of two moments, whose rows take turns."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from fractions import Fraction

import av
from av.filter import Graph
from av.video.frame import VideoFrame

from flowxfer.video.io.stream_format import PROGRESSIVE

__all__ = ["deinterlaced", "flagged", "order_of"]

_TOP_FIRST, _BOTTOM_FIRST = 2, 3  # AVFieldOrder


def order_of(picture: VideoFrame) -> int:
    """Tell which field of a picture comes first, AVFieldOrder."""
    if not picture.interlaced_frame:
        return PROGRESSIVE
    graph = _graph(picture, ("select", "eq(interlace_type,TOPFIRST)"))  # PyAV does not tell otherwise
    graph.push(picture)
    graph.push(None)
    return _TOP_FIRST if list(_pulled(graph)) else _BOTTOM_FIRST


def flagged(picture: VideoFrame, order: int) -> VideoFrame:
    """Return a picture that says which of its fields comes first."""
    graph = _graph(picture, ("setfield", {_TOP_FIRST: "tff", _BOTTOM_FIRST: "bff"}.get(order, "prog")))
    graph.push(picture)
    return next(_pulled(graph))


def deinterlaced(pictures: Iterable[VideoFrame]) -> Iterator[VideoFrame]:
    """Make whole pictures of interlaced ones, as many; what is not interlaced stays as it is.

    The filter is Bob Weaver's, which looks at the pictures before and after: https://ffmpeg.org/ffmpeg-filters.html#bwdif
    """
    graph: Graph | None = None
    for picture in itertools.chain(pictures, [None]):
        if graph is None:
            if picture is None:
                return
            graph, time_base = _graph(picture, ("bwdif", "mode=send_frame:deint=interlaced")), picture.time_base
        graph.push(picture)
        for whole in _pulled(graph):
            if whole.pts is not None and whole.time_base and time_base:  # the filter counts in halves of a tick
                whole.pts, whole.duration = (
                    round(t * whole.time_base / time_base) for t in (whole.pts, whole.duration)
                )
                whole.time_base = time_base
            yield whole


def _graph(picture: VideoFrame, *filters: tuple[str, str]) -> Graph:
    graph = Graph()
    unit = picture.time_base or Fraction(1)
    source = graph.add_buffer(width=picture.width, height=picture.height, format=picture.format, time_base=unit)
    graph.link_nodes(source, *(graph.add(*each) for each in filters), graph.add("buffersink")).configure()
    return graph


def _pulled(graph: Graph) -> Iterator[VideoFrame]:
    while True:
        try:
            picture = graph.pull()
        except (av.BlockingIOError, av.EOFError):
            return
        assert isinstance(picture, VideoFrame)
        yield picture
