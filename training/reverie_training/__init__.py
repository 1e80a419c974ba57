"""The recipe of the embedded model: a small DreamLLM, trained from scratch on drawn scenes."""
