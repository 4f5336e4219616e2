"""What a PDF shows, by the programs of poppler."""

import re
import subprocess
from dataclasses import dataclass
from html import unescape
from pathlib import Path

import numpy as np
from PIL import Image

from tests.support.browser import program

PACKAGE = "poppler-utils"


@dataclass(frozen=True, slots=True)
class Word:
    """A word with its box in points, from the upper left corner of its page."""

    text: str
    page: int
    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True, slots=True)
class Shown:
    """The pages of a PDF, and their words."""

    sizes: tuple[tuple[float, float], ...]
    words: tuple[Word, ...]

    @property
    def text(self) -> str:
        return " ".join(word.text for word in self.words)

    def outside(self, margin: float = 0.0) -> list[Word]:
        """Returns the words that reach over the edge of their page, or over a margin."""
        return [
            word
            for word in self.words
            if min(word.left, word.top) < margin
            or word.right > self.sizes[word.page][0] - margin + 0.5
            or word.bottom > self.sizes[word.page][1] - margin + 0.5
        ]


def shown(path: Path) -> Shown:
    """Reads the words of a PDF."""
    text = subprocess.run(
        [program("pdftotext", PACKAGE), "-bbox", str(path), "-"], check=True, capture_output=True, text=True
    ).stdout
    sizes: list[tuple[float, float]] = []
    words = []
    number = r'"([-\d.]+)"'
    for line in text.splitlines():
        if found := re.search(rf"<page width={number} height={number}>", line):
            sizes.append((float(found[1]), float(found[2])))
        elif found := re.search(rf"<word xMin={number} yMin={number} xMax={number} yMax={number}>(.*)</word>", line):
            box = [float(found[place]) for place in range(1, 5)]
            words.append(Word(unescape(found[5]), len(sizes) - 1, *box))
    return Shown(tuple(sizes), tuple(words))


def pictures(path: Path, folder: Path, dots: int = 40) -> list[np.ndarray]:
    """Draws each page at so many dots per inch: uint8 [H, W, 3] each."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [program("pdftoppm", PACKAGE), "-png", "-r", str(dots), str(path), str(folder / "page")]
    subprocess.run(command, check=True)
    return [np.asarray(Image.open(page).convert("RGB")) for page in sorted(folder.glob("page*.png"))]
