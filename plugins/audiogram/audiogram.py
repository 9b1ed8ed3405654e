"""An audiogram: the portrait above the moving waveform of the speech, with its words.

The reference plug-in of MySpinBot for `render_video`. It shows how the protocol of docs/plugins.md
is kept in one file that imports nothing of MySpinBot. Inputs are `portrait`, `speech` and
`timings`; outputs `video` (MP4), `poster` (JPEG) and `report` (JSON).
"""

import json
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont, ImageOps

RATE = 48_000
BLOCK = 1024
LARGEST_PICTURE = 80_000_000
BARS_PER_S = 10
CAPTION_LETTERS = 30
PAUSE_S = 0.6
LAST_LATIN = 0x24F
TYPOGRAPHY = "‘’“”–—…"  # noqa: RUF001 - what typesetting makes of quotes and dashes
WHITE = np.array([255, 255, 255], np.float32)


class UnusableInputError(Exception):
    """An input cannot be used: a code, the cause, and what to do."""


def say(kind, **what):
    """One message to the runner."""
    sys.stdout.write(json.dumps({"type": kind, **what}) + "\n")
    sys.stdout.flush()


def main():
    """Do the job whose folder is the only argument."""
    job = json.loads((Path(sys.argv[1]) / "job.json").read_text(encoding="utf-8"))
    try:
        render(job)
    except UnusableInputError as error:
        code, cause, remedy = error.args
        say("failed", code=code, cause=cause, remedy=remedy)


def render(job):
    """Write the three outputs and say `done`."""
    params, output = job["params"], Path(job["output"])
    size, fps = params["size"], params["fps"]
    portrait = read_portrait(Path(job["inputs"]["portrait"][0]))
    sound = read_speech(Path(job["inputs"]["speech"][0]))
    words = read_words(Path(job["inputs"]["timings"][0]))
    count = int(np.ceil(len(sound) / RATE * fps))
    captions = Captions(words, size) if params["captions"] else None
    if captions and captions.unreadable:
        say("line", level="warning", message="no captions: the script has letters without a font")
        captions = None
    scene = Scene(portrait, sound, size, params["colour"])
    poster = None
    video = output / "video.mp4"
    with av.open(str(video), "w", format="mp4", options={"movflags": "+faststart"}) as container:
        writer = Writer(container, params, sound, count)
        for index in range(count):
            second = index / fps
            frame = scene.frame(second)
            if captions:
                captions.draw(frame, second)
            writer.write(frame, index)
            if poster is None or (second <= 2 and scene.loudness(second) > poster[0]):
                poster = scene.loudness(second), frame
            say("progress", done=index + 1, total=count, unit="frame")
        writer.finish()
    Image.fromarray(poster[1]).save(output / "poster.jpg", quality=92)
    metrics = {
        "frames": count,
        "video_seconds": round(count / fps, 3),
        "audio_seconds": round(len(sound) / RATE, 3),
        "captions": captions is not None,
    }
    report = {"metrics": metrics, "fps": fps}
    (output / "report.json").write_text(json.dumps(report), encoding="utf-8")
    files = {"video": ["video.mp4"], "poster": ["poster.jpg"], "report": ["report.json"]}
    say("done", outputs=files, metrics=metrics)


def read_portrait(path):
    """The portrait as an upright RGB square."""
    Image.MAX_IMAGE_PIXELS = LARGEST_PICTURE
    try:
        picture = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UnusableInputError(
            "picture-unreadable", "the portrait is no picture", "Make the portrait again."
        ) from error
    side = min(picture.size)
    # Faces are in the upper part of what is higher than wide.
    return ImageOps.fit(picture, (side, side), Image.Resampling.LANCZOS, centering=(0.5, 0.3))


def read_speech(path):
    """The speech as mono samples, float32."""
    blocks = []
    try:
        with av.open(str(path)) as container:
            resampler = av.AudioResampler(format="flt", layout="mono", rate=RATE)
            for frame in container.decode(container.streams.audio[0]):
                blocks += [part.to_ndarray()[0] for part in resampler.resample(frame)]
            blocks += [part.to_ndarray()[0] for part in resampler.resample(None)]
    except (av.FFmpegError, IndexError, ValueError) as error:
        raise UnusableInputError(
            "speech-unreadable", "the speech is no sound", "Make the speech again."
        ) from error
    sound = np.concatenate(blocks) if blocks else np.zeros(0, np.float32)
    if len(sound) < RATE // 10:
        raise UnusableInputError(
            "speech-unreadable", "the speech is shorter than 0.1 s", "Give it more words to say."
        )
    return sound


def read_words(path):
    """(text, start, end) of each word, in seconds."""
    try:
        words = json.loads(path.read_bytes()).get("words", [])
        return [(str(each["text"]), float(each["start"]), float(each["end"])) for each in words]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UnusableInputError(
            "timings-unreadable", "the speech timings are not as agreed", "Make the speech again."
        ) from error


class Scene:
    """Everything but the words: blurred backdrop, round portrait, halo, waveform."""

    def __init__(self, portrait, sound, size, colour):
        self.size = size
        self.accent = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)], np.float32)
        self.levels = levels_of(sound)
        self.still, self.distance = self._still(portrait)
        self.pitch = max(6, round(size * 0.022))
        self.strip = self._strip()
        across = np.arange(size) / size
        self.fade = np.clip(np.minimum(across, 1 - across) / 0.12, 0, 1).astype(np.float32)

    def loudness(self, second):
        """0 to 1, smooth."""
        at = second * BARS_PER_S
        return float(np.interp(at, np.arange(len(self.levels)) + 0.5, self.levels))

    def frame(self, second):
        """The picture (size, size, 3) at a time."""
        frame = self.still.copy()
        self._halo(frame, self.loudness(second))
        self._waveform(frame, second)
        return frame

    def _still(self, portrait):
        size, radius = self.size, self.size * 0.27
        backdrop = portrait.resize((64, 64)).filter(ImageFilter.GaussianBlur(5))
        backdrop = ImageEnhance.Color(backdrop).enhance(0.8).resize((size, size))
        canvas = np.asarray(backdrop.filter(ImageFilter.GaussianBlur(size / 40)), np.float32)
        down = np.linspace(0.50, 0.26, size, dtype=np.float32)[:, None, None]
        canvas = canvas * down
        side = round(radius * 2)
        left, top = (size - side) // 2, round(size * 0.08)
        y, x = np.mgrid[0:size, 0:size].astype(np.float32)
        distance = np.hypot(x - left - side / 2 + 0.5, y - top - side / 2 + 0.5) - side / 2
        disc = canvas.copy()
        picture = portrait.resize((side, side), Image.Resampling.LANCZOS)
        disc[top : top + side, left : left + side] = np.asarray(picture, np.float32)
        inside = np.clip(0.5 - distance, 0, 1)[..., None]
        return np.rint(canvas * (1 - inside) + disc * inside).astype(np.uint8), distance

    def _halo(self, frame, loud):
        """A ring around the portrait, and a glow that grows with the voice."""
        size = self.size
        bottom = round(size * 0.68)
        distance = self.distance[:bottom]
        ring = np.clip(size * 0.006 - np.abs(distance - size * 0.012), 0, 1)
        glow = 0.5 * loud * np.exp(-np.maximum(distance, 0) / (size * (0.015 + 0.03 * loud)))
        glow *= np.clip(1 - distance / (size * 0.058), 0, 1)
        alpha = np.where(distance > 0, np.maximum(ring * (0.55 + 0.45 * loud), glow), 0)
        blend(frame[:bottom], self.accent, alpha)

    def _strip(self):
        """The whole waveform as opacity (height, width), a bar each tenth of a second."""
        height, pitch = round(self.size * 0.17), self.pitch
        radius = pitch * 0.3
        across = np.arange(pitch) + 0.5 - pitch / 2
        down = np.abs(np.arange(height) + 0.5 - height / 2)
        half = radius + self.levels * (height / 2 - radius - 1)
        # A bar is a line with round ends: what is nearer to it than its radius.
        beyond = np.maximum(down[:, None] - (half - radius)[None, :], 0)
        distance = np.hypot(beyond[:, :, None], across[None, None, :])
        opacity = np.clip(radius + 0.5 - distance, 0, 1)
        return (opacity.reshape(height, -1) * 255).astype(np.uint8)

    def _waveform(self, frame, second):
        size, pitch = self.size, self.pitch
        height = self.strip.shape[0]
        now = round(second * BARS_PER_S * pitch)
        window = np.zeros((height, size), np.float32)
        first = now - size // 2
        start, end = max(first, 0), min(first + size, self.strip.shape[1])
        window[:, start - first : end - first] = self.strip[:, start:end] / np.float32(255)
        window *= self.fade
        top = round(size * 0.69)
        band = frame[top : top + height]
        middle = size // 2
        blend(band[:, :middle], self.accent, window[:, :middle])
        blend(band[:, middle:], WHITE, window[:, middle:] * 0.55)


class Captions:
    """The words as they are said, a line at a time."""

    def __init__(self, words, size):
        self.size = size
        self.font = ImageFont.load_default(size * 0.048)
        self.lines = lines_of(words)
        letters = {letter for text, _, _ in words for letter in text}
        self.unreadable = any(
            ord(letter) > LAST_LATIN and letter not in TYPOGRAPHY for letter in letters
        )
        self._drawn = None, None

    def draw(self, frame, second):
        """Put the words of a time into a picture."""
        text = next((text for text, start, end in self.lines if start <= second < end), None)
        if text is None:
            return
        if self._drawn[0] != text:
            self._drawn = text, self._mask(text)
        mask = self._drawn[1]
        top = round(self.size * 0.885)
        blend(frame[top : top + len(mask)], WHITE, mask)

    def _mask(self, text):
        height = round(self.size * 0.075)
        mask = Image.new("L", (self.size, height))
        font = self.font
        width = font.getlength(text)
        if width > self.size * 0.92:
            font = ImageFont.load_default(font.size * self.size * 0.92 / width)
        ImageDraw.Draw(mask).text((self.size / 2, height / 2), text, 235, font, anchor="mm")
        return np.asarray(mask, np.float32) / 255


class Writer:
    """H.264 and AAC, fed in step so that memory does not grow with the length."""

    def __init__(self, container, params, sound, count):
        self.container, self.fps = container, params["fps"]
        self.video = container.add_stream(
            "libx264", rate=self.fps, options={"crf": str(params["crf"]), "preset": "veryfast"}
        )
        self.video.width = self.video.height = params["size"]
        self.video.pix_fmt = "yuv420p"
        self.audio = container.add_stream("aac", rate=RATE, layout="mono")
        self.audio.bit_rate = 128_000
        self.sound = np.zeros(round(count / self.fps * RATE), np.float32)
        self.sound[: len(sound)] = sound[: len(self.sound)]
        self.heard = 0

    def write(self, frame, index):
        """The next picture, and the sound up to it."""
        picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
        picture.pts, picture.time_base = index, Fraction(1, self.fps)
        self.container.mux(self.video.encode(picture))
        self._hear((index + 1) / self.fps)

    def finish(self):
        """What the encoders still hold."""
        self.container.mux(self.video.encode(None))
        self._hear(float("inf"))
        self.container.mux(self.audio.encode(None))

    def _hear(self, until_s):
        while self.heard < len(self.sound) and self.heard < until_s * RATE:
            block = av.AudioFrame.from_ndarray(
                self.sound[None, self.heard : self.heard + BLOCK], format="fltp", layout="mono"
            )
            block.sample_rate, block.pts = RATE, self.heard
            block.time_base = Fraction(1, RATE)
            self.container.mux(self.audio.encode(block))
            self.heard += BLOCK


def levels_of(sound):
    """How loud each bar is, 0 to 1: decibels below the loudest, 40 of them."""
    span = RATE // BARS_PER_S
    padded = np.pad(sound, (0, -len(sound) % span)).reshape(-1, span)
    power = np.sqrt(np.mean(padded**2, axis=1))
    loudest = max(float(power.max()), 1e-4)
    decibels = 20 * np.log10(np.maximum(power, 1e-6) / loudest)
    return np.clip(1 + decibels / 40, 0, 1).astype(np.float32)


def lines_of(words):
    """(text, start, end) of each line of captions; a pause begins another."""
    lines = []
    for text, start, end in words:
        last = lines[-1] if lines else None
        if last and start - last[2] <= PAUSE_S and len(last[0]) + len(text) < CAPTION_LETTERS:
            lines[-1] = f"{last[0]} {text}", last[1], end
        else:
            lines.append((text, start, end))
    return lines


def blend(pixels, colour, alpha):
    """Lay a colour over pixels (height, width, 3) in place."""
    shown = np.nonzero(alpha.max(axis=1) > 0)[0]
    if len(shown) == 0:
        return
    rows = slice(shown[0], shown[-1] + 1)
    below = pixels[rows].astype(np.float32)
    pixels[rows] = np.rint(below + (colour - below) * alpha[rows, :, None])


if __name__ == "__main__":
    main()
