"""Frames of really encoded clips: each carries its number, so that a wrong one shows."""

import io
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from foresight_cache.errors import BadSample
from foresight_cache.media import clips
from foresight_cache.media.clips import ClipFacts, clip_facts, decode_clip
from tests.support import made_clips
from tests.support.made_clips import counting, encode, image_bytes, number_in, numbered

FRAMES = 37
KINDS: dict[str, dict[str, Any]] = {
    "h264 with B-frames": {"options": {"bf": "3"}},
    "h264 with open groups": {"options": {"bf": "3", "x264-params": "open-gop=1"}},
    "h264 that refreshes bit by bit": {"options": {"x264-params": "intra-refresh=1:keyint=20"}},
    "h264 in fragments": {"muxer": {"movflags": "frag_keyframe+empty_moov"}},
    "h264 with a leading index": {"muxer": {"movflags": "faststart"}},
    "vp9": {"container": "webm"},
    "vp9 as it is streamed": {"container": "webm", "muxer": {"live": "1"}},
    "h265 with open groups": {"codec": "libx265", "options": {"x265-params": "open-gop=1:keyint=10:log-level=none"}},
    "vp8": {"container": "webm", "codec": "libvpx"},
    "mpeg4 in avi": {"container": "avi"},
    "mpeg4 in avi with B-frames": {"container": "avi", "options": {"bf": "2"}},
    "h264 in avi with B-frames": {"container": "avi", "codec": "libx264", "options": {"bf": "3"}},
}


def facts_of(data: bytes, *, deep: bool = False) -> ClipFacts:
    return clip_facts({"mp4": data}, deep=deep)


def numbers(data: bytes, *indices: int) -> list[int]:
    return [number_in(pixels) for pixels in decode_clip({"mp4": data}, indices)]


@pytest.mark.parametrize("kind", KINDS)
def test_every_frame_is_the_one_that_was_asked_for(kind: str) -> None:
    """Far ones first, twice, beside keyframes and between them."""
    data = counting(FRAMES, **KINDS[kind])
    assert facts_of(data) == ClipFacts(frames=FRAMES, frames_per_second=25.0, height=48, width=64)
    assert numbers(data, *range(FRAMES)) == list(range(FRAMES))
    wanted = [36, 0, 5, 5, 9, 10, 11, 20, 29]
    assert numbers(data, *wanted) == wanted
    for number in (0, 19, 36):
        assert numbers(data, number) == [number]


def watched(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Where decoding begins, from now on."""
    begun: list[int] = []
    decoded = clips.VideoFile._decoded
    monkeypatch.setattr(clips.VideoFile, "_decoded", lambda self, start: (begun.append(start), decoded(self, start))[1])
    return begun


def test_only_what_is_needed_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    """From the keyframe of 30 on, of which each tenth is one."""
    begun = watched(monkeypatch)
    assert numbers(counting(FRAMES, options={"sc_threshold": "0"}), 33, 35, 12) == [33, 35, 12]
    assert begun == [30, 10]


def test_a_frame_before_the_keyframe_that_it_follows_in_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures of an open group lead its keyframe and build upon the group before, where decoding has to begin."""
    data = counting(FRAMES, **KINDS["h265 with open groups"])
    video = clips.VideoFile(data, max_pixels=1 << 20)
    leading = [
        number
        for number, place in enumerate(video._positions)
        if any(
            packet.is_keyframe and video._time(at) > video._time(place)
            for at, packet in enumerate(video._packets[:place])
        )
    ]
    assert leading, "there are such pictures"
    begun = watched(monkeypatch)
    assert [numbers(data, number) for number in leading] == [[number] for number in leading]
    assert len(begun) == len(leading), "no second attempt, which decodes all from the start, was needed"


def test_hidden_frames_are_not_counted() -> None:
    """A bit of a VP8 packet says that its picture is only built upon; here of the thirteenth."""
    data = bytearray(counting(FRAMES, "webm", codec="libvpx"))
    with av.open(io.BytesIO(data)) as opened:
        packet = bytes([*opened.demux(video=0)][12])
    place = data.index(packet)
    data[place] &= ~0x10
    assert facts_of(bytes(data)).frames == FRAMES - 1
    assert numbers(bytes(data), 11, 12, 13) == [11, 13, 14]


@pytest.mark.parametrize("container", ["mp4", "webm"])
def test_a_variable_rate_is_a_mean(container: str) -> None:
    """Frame n at 3 n² ms: 36 frames in 3888 ms."""
    data = counting(FRAMES, container, times=[3 * number * number for number in range(FRAMES)])
    assert facts_of(data).frames_per_second == pytest.approx(36 / 3.888, abs=0.001)
    assert numbers(data, 0, 1, 35) == [0, 1, 35]


@pytest.mark.parametrize(
    ("container", "height", "width", "pixel_format"),
    [("mp4", 49, 65, "yuv444p"), ("webm", 49, 65, "yuv420p"), ("webm", 17, 130, "yuv420p"), ("avi", 50, 66, "yuv420p")],
)
def test_odd_sizes(container: str, height: int, width: int, pixel_format: str) -> None:
    data = counting(3, container, height=height, width=width, pixel_format=pixel_format)
    assert (facts_of(data).height, facts_of(data).width) == (height, width)
    assert decode_clip({"mp4": data}, [2]).shape == (1, height, width, 3)
    assert numbers(data, 2, 1) == [2, 1]


def test_a_clip_of_one_frame() -> None:
    assert facts_of(counting(1)) == ClipFacts(frames=1, frames_per_second=25.0, height=48, width=64)
    assert numbers(counting(1), 0, 0) == [0, 0]


@pytest.mark.parametrize(("turned", "quarters"), [(0, 0), (90, 1), (180, 2), (270, 3), (-90, 3)])
@pytest.mark.parametrize("mirrored", [False, True])
def test_clips_are_turned_upright(turned: int, quarters: int, mirrored: bool) -> None:
    """The matrix is read by FFmpeg as so many degrees against the clock; numpy's `rot90` turns that way, too."""
    scene = np.zeros((48, 64, 3), np.uint8)
    scene[:24, :32], scene[:24, 32:], scene[24:, :32] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    lossless = {"pixel_format": "rgb24", "codec": "libx264rgb", "options": {"crf": "0"}}
    data = encode([scene] * 3, rotation=turned, mirrored=mirrored, **lossless)
    turned_by_hand = np.rot90(scene, quarters)[:, :: -1 if mirrored else 1]
    decoded = decode_clip({"mp4": data}, [1])[0]
    assert (facts_of(data).height, facts_of(data).width) == turned_by_hand.shape[:2]
    np.testing.assert_array_equal(decoded, turned_by_hand)


def test_a_slanting_clip_is_refused() -> None:
    with pytest.raises(BadSample, match="turned by an angle that is no multiple of 90°"):
        facts_of(counting(3, rotation=45))


def test_colours_are_those_of_the_coding() -> None:
    """White, black and a red of BT.601 in limited range, worked by hand: Y 82, Cb 90, Cr 240 is (255, 0, 0)."""
    frame = av.VideoFrame(64, 48, "yuv420p")
    for plane, value in zip(frame.planes, (82, 90, 240), strict=True):
        plane.update(bytes([value]) * plane.buffer_size)
    file = io.BytesIO()
    with av.open(file, mode="w", format="mp4") as out:
        stream: Any = out.add_stream("libx264", rate=25, options={"crf": "0"})
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        out.mux([*stream.encode(frame), *stream.encode()])
    assert np.abs(decode_clip({"mp4": file.getvalue()}, [0])[0].astype(int) - (254, 0, 0)).max() <= 1


def test_frames_are_resized_as_they_come() -> None:
    kept = decode_clip({"mp4": counting(5)}, [3, 1], lambda pixels: pixels[::2, ::4])
    assert kept.shape == (2, 24, 16, 3)


class TestRealClips:
    """FFmpeg's own sequential decoding says which frame is which."""

    @pytest.mark.parametrize(
        ("name", "facts"),
        [
            ("bikes.mp4", ClipFacts(frames=250, frames_per_second=25.0, height=272, width=640)),
            ("carphone_pristine.mp4", ClipFacts(frames=120, frames_per_second=29.97, height=144, width=176)),
            ("demo_demo.mp4", ClipFacts(frames=280, frames_per_second=28.0, height=256, width=340)),
            ("tree.avi", ClipFacts(frames=68, frames_per_second=2.269, height=240, width=320)),
        ],
    )
    def test_facts_and_frames(self, assets: Path, name: str, facts: ClipFacts) -> None:
        path = assets / "data/videos" / name
        members = {path.suffix[1:]: path.read_bytes()}
        assert clip_facts(members, deep=True) == clip_facts(members) == facts
        wanted = [0, 3, facts.frames // 2, facts.frames - 1]
        with av.open(str(path)) as container:
            frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        assert len(frames) == facts.frames
        decoded = decode_clip(members, wanted)
        for place, number in enumerate(wanted):
            distances = [np.abs(decoded[place].astype(int) - frame).mean() for frame in frames]
            assert np.argmin(distances) == number
            assert distances[number] < 2, "they differ in how colours between samples are rounded"


class TestFolders:
    def folder(self, frames: int) -> dict[str, bytes]:
        return {f"{number:05d}.png": image_bytes(numbered(number)) for number in range(frames)}

    def test_frames_in_their_order(self) -> None:
        members = self.folder(12) | {"00003.seg.png": b"labels"}
        assert clip_facts(members) == ClipFacts(frames=12, frames_per_second=None, height=48, width=64)
        np.testing.assert_array_equal(decode_clip(members, [11, 0, 2])[0], numbered(11))
        assert [number_in(pixels) for pixels in decode_clip(members, [11, 0, 2])] == [11, 0, 2]

    def test_frames_of_several_sizes(self) -> None:
        members = self.folder(4) | {"00002.png": image_bytes(numbered(2, 24, 32))}
        with pytest.raises(BadSample, match="frames of 64×48 and of 32×24 pixels; all frames of a clip must have one"):
            clip_facts(members)
        with pytest.raises(BadSample, match="frames of 64×48 and of 32×24"):
            decode_clip(members, [1, 2])

    def test_a_damaged_frame(self) -> None:
        members = self.folder(4)
        members["00002.png"] = members["00002.png"][:60] + bytes(20) + members["00002.png"][80:]
        assert clip_facts(members).frames == 4
        with pytest.raises(BadSample, match="damaged"):
            clip_facts(members, deep=True)


class TestDamage:
    """What is no clip is told apart; nothing else than `BadSample` comes out."""

    @pytest.mark.parametrize(
        ("data", "words"),
        [
            (b"", "the file is empty; expected a video: webm, mp4, avi, mpg, ts, flv, wmv or gif"),
            (bytes(1000), "cannot be read"),
            (image_bytes(numbered(3), "JPEG"), "cannot be read"),
            (made_clips.song(), "no video in it, only audio"),
            (b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n/etc/hostname\n#EXT-X-ENDLIST\n", "cannot be read"),
            (b"ffconcat version 1.0\nfile 'clip.mp4'\n", "cannot be read"),
        ],
        ids=["empty", "zeros", "image", "song", "playlist", "list"],
    )
    def test_no_video(self, data: bytes, words: str) -> None:
        with pytest.raises(BadSample, match=words):
            facts_of(data)

    @pytest.mark.parametrize("container", ["mp4", "webm", "avi"])
    @pytest.mark.parametrize("share", [0.02, 0.5, 0.999])
    def test_cut_off(self, container: str, share: float) -> None:
        data = counting(FRAMES, container, **({"muxer": {"movflags": "faststart"}} if container == "mp4" else {}))
        with pytest.raises(BadSample, match="cut off: it has|cannot be read"):
            facts_of(data[: int(len(data) * share)])

    def test_an_index_of_more_frames_than_there_are(self) -> None:
        """Ends where a box ends, so that only the index tells."""
        data = counting(FRAMES, muxer={"movflags": "faststart"})
        place = data.index(b"mdat") - 4
        left = 8 + (len(data) - place - 8) // 2
        shorter = data[:place] + left.to_bytes(4, "big") + data[place + 4 : place + left]
        with pytest.raises(BadSample, match=rf"cut off: it has {len(shorter)} of the \d+ bytes that its index"):
            facts_of(shorter)

    @pytest.mark.parametrize("container", ["mp4", "webm", "avi"])
    def test_bytes_that_were_changed(self, container: str) -> None:
        """At the start of a packet behind the first ten: those frames are there, and what builds upon it is not."""
        data = bytearray(counting(FRAMES, container, height=120, width=160))
        with av.open(io.BytesIO(data)) as opened:
            packet = max([*opened.demux(video=0)][12:], key=lambda packet: packet.size)
        place = data.index(bytes(packet))
        data[place + 4 : place + packet.size] = bytes(packet.size - 4)
        data[place] ^= 0xFF if container == "webm" else 0
        facts = facts_of(bytes(data))
        assert numbers(bytes(data), 0, 1) == [0, 1]
        with pytest.raises(BadSample, match=rf"frame \d+ of {facts.frames} cannot be decoded"):
            facts_of(bytes(data), deep=True)

    def test_damage_that_the_decoder_hides(self) -> None:
        """It paints over damage in the middle of a picture, and only marks that picture."""
        data = bytearray(counting(FRAMES, "mp4", codec="mpeg4", height=120, width=160))
        with av.open(io.BytesIO(data)) as opened:
            packet = max([*opened.demux(video=0)][12:], key=lambda packet: packet.size)
        place = data.index(bytes(packet)) + packet.size // 2
        data[place : place + 20] = np.random.default_rng(0).bytes(20)
        with av.open(io.BytesIO(data)) as opened:
            assert sum(1 for _ in opened.decode(video=0)) == FRAMES
        with pytest.raises(BadSample, match=rf"frame \d+ of {FRAMES} cannot be decoded: its data are damaged"):
            facts_of(bytes(data), deep=True)

    def test_too_many_pixels(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(clips, "MAX_PIXELS", 64 * 48 - 1)
        with pytest.raises(BadSample, match="64×48 pixels, more than the 3071 that are decoded"):
            facts_of(counting(3))

    def test_a_size_that_changes(self) -> None:
        """Two streams of one codec, one behind the other, as a broken recorder leaves them."""
        small, large = (counting(4, "h264", codec="libx264", height=side, width=64) for side in (48, 96))
        with av.open(io.BytesIO(small), format="h264") as first, av.open(io.BytesIO(large), format="h264") as second:
            file = io.BytesIO()
            with av.open(file, mode="w", format="matroska") as out:
                stream = out.add_stream_from_template(first.streams.video[0])
                for time, packet in enumerate([*first.demux(video=0), *second.demux(video=0)]):
                    if packet.size:
                        packet.pts = packet.dts = time * 40
                        packet.stream = stream
                        out.mux(packet)
        with pytest.raises(BadSample, match="frames of 64×48 and of 64×96 pixels"):
            facts_of(file.getvalue(), deep=True)

    def test_a_frame_that_the_clip_does_not_have(self) -> None:
        with pytest.raises(BadSample, match="has 5 frames, its record speaks of frame 7"):
            numbers(counting(5), 0, 7)
