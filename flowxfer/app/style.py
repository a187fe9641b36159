"""How the page looks: plain, with the fonts of the system, for nothing comes from the network."""

from __future__ import annotations

import gradio as gr

__all__ = ["CSS", "theme"]

CSS = """
.gradio-container { width: 100% !important; max-width: 1180px !important; margin: 0 auto !important; }
footer { display: none !important; }

.picker { gap: 6px !important; margin-bottom: 10px; }
.picker-head { align-items: center !important; flex-wrap: nowrap !important; }
.faces { border: 0 !important; overflow: visible !important; }
.faces .grid-wrap { min-height: 0 !important; max-height: none !important; padding: 0 !important; overflow: visible; }
.faces .grid-container {
    grid-template-columns: repeat(auto-fill, minmax(72px, 1fr)) !important;
    grid-template-rows: none !important; grid-auto-rows: auto !important; gap: 8px !important; padding: 3px !important;
}
.faces .thumbnail-item { aspect-ratio: 1 !important; height: auto !important; }
.faces .thumbnail-item.selected { outline: 3px solid var(--color-accent) !important; outline-offset: -1px; }
.faces .caption-label { font-size: 11px !important; padding: 1px 5px !important; }

.attributes .form {
    display: grid !important; grid-template-columns: repeat(auto-fill, minmax(140px, 1fr)); background: none;
}

#film-result video { max-height: 420px; }
@media (min-width: 768px) { .results, .film-made { position: sticky; top: 8px; align-self: flex-start; } }
@media (max-width: 767px) { .results { order: -1; } }
"""


def theme() -> gr.themes.Base:
    """The theme: neutral greys, one blue, system fonts."""
    return gr.themes.Default(
        primary_hue="blue",
        neutral_hue="gray",
        font=["system-ui", "-apple-system", "Segoe UI", "sans-serif"],
        font_mono=["ui-monospace", "Consolas", "monospace"],
    )
