"""SadTalker's own program: its command line, what it prints, and what it leaves behind.

After `inference.py` of commit cd4c0465ae0b54a6f85af57f5c65fec9fe23e7f8.
"""

import re
import subprocess
import sys

import soundfile
from gpu_runner.media.pictures import write_picture
from gpu_runner.stage import StageError

PROGRAM = "inference.py"
INTERPRETER = ".venv/bin/python"
# Without these two it would fetch them from the network by itself.
EYES = ("gfpgan/weights/alignment_WFLW_4HG.pth", "gfpgan/weights/detection_Resnet50_Final.pth")
MAPPING = "checkpoints/mapping_00109-model.pth.tar"
# Of the stage's time: what is left is encoding.
SHARE = 0.9
# Its bars in their order, with the share at which each begins. They are printed by tqdm.
PHASES = {
    "landmark Det": 0.0,
    "3DMM Extraction In Video": 0.03,
    "mel": 0.06,
    "Face Renderer": 0.10,
    "seamlessClone": 0.75,
}
BAR = re.compile(r"(?P<phase>[\w ]+?):+\s*(?P<percent>\d+)%\|")
NOBODY = ("No face is detected", "No face detected", "Can't get the coeffs")
EXHAUSTED = ("out of memory", "OutOfMemoryError")
KEPT = 200


def command(checkout, params, device, place):
    """The words of SadTalker's command line for a job.

    Args:
        checkout: the folder with its program.
        params: of the stage.
        device: `cuda:0`, `mps` or `cpu`.
        place: the folder with `portrait.png` and `speech.wav`, and `results` for what it makes.

    """
    words = [checkout / INTERPRETER, "-u", checkout / PROGRAM]
    words += ["--source_image", place / "portrait.png", "--driven_audio", place / "speech.wav"]
    words += ["--result_dir", place / "results", "--checkpoint_dir", checkout / "checkpoints"]
    # The whole picture, into which the face is laid back.
    words += ["--preprocess", "full", "--size", params.model, "--batch_size", params.batch]
    words += ["--pose_style", params.pose_style, "--expression_scale", params.expression_scale]
    words += ["--still"] * params.still
    words += ["--cpu"] * (not device.startswith("cuda"))
    return [str(word) for word in words]


def draw(checkout, context, picture, speech, tell):
    """Let SadTalker make its video of `picture` (height, width, 3), and return the file.

    `tell` is told how much is done, 0-1.

    Raises:
        StageError: `checkout-incomplete`, `no-face`, `memory-exhausted`, `sadtalker-failed`.

    """
    checkout = checkout.absolute()
    require(checkout, context.params)
    place = context.scratch
    results = place / "results"
    results.mkdir()
    write_picture(place / "portrait.png", picture)
    # Sixteen bits, which its libraries read without further programs.
    soundfile.write(place / "speech.wav", speech.sound, speech.rate, subtype="PCM_16")
    words = command(checkout, context.params, context.device, place)
    said = []
    # In this process's own group, so that whoever ends this program ends that one, too.
    with subprocess.Popen(  # noqa: S603 - the program that the user has linked
        words,
        cwd=checkout,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as running:
        furthest = 0.0
        for line in running.stdout:
            if (share := progress(line)) is None:
                sys.stderr.write(line)
                said = [*said, line][-KEPT:]
            elif share > furthest:
                furthest = share
                tell(share)
    videos = sorted(results.glob("*.mp4"))
    if running.returncode or len(videos) != 1:
        raise failure("".join(said), running.returncode)
    return videos[0]


def require(checkout, params):
    """StageError `checkout-incomplete` if something lacks that SadTalker needs for these."""
    needed = {
        PROGRAM: "Link a checkout of SadTalker as `checkout` in the plug-in's folder",
        INTERPRETER: "Make SadTalker's environment as `.venv` in its checkout",
        f"checkpoints/SadTalker_V0.0.2_{params.model}.safetensors": "",
        MAPPING: "",
        **dict.fromkeys(EYES, ""),
    }
    for file, remedy in needed.items():
        if not (checkout / file).exists():
            raise StageError(
                "checkout-incomplete",
                f"SadTalker's checkout has no {file}",
                remedy or "Get it by scripts/download_models.sh of the checkout",
            )


def progress(line):
    """How much is done, 0-1, if a line is a bar of a phase that is known; else None."""
    found = BAR.search(line)
    if found is None or (phase := found["phase"].strip()) not in PHASES:
        return None
    begin = PHASES[phase]
    end = min((each for each in PHASES.values() if each > begin), default=1.0)
    return begin + (end - begin) * int(found["percent"]) / 100


def failure(said, status):
    """Why there is no video, as far as what was printed tells."""
    if any(words in said for words in NOBODY):
        return StageError(
            "no-face",
            "SadTalker finds no face in the portrait",
            "Use a picture in which the face is seen from the front, or the engine warp",
        )
    if any(words in said for words in EXHAUSTED):
        return StageError(
            "memory-exhausted",
            "the device has not enough memory for SadTalker",
            "Choose a smaller batch, or the smaller model",
        )
    return StageError(
        "sadtalker-failed",
        f"SadTalker ended with status {status} and without a video",
        "The stage's log has its last words; try its inference.py by hand",
        retryable=True,
    )
