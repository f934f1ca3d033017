"""Videos in memory of any layout, and folders of video files."""

import sys
import warnings

import numpy as np
import pytest
from PIL import Image

import zoo
from zoo.data.digits.textures import read_grey
from zoo.data.videos.arrays import Videos
from zoo.data.videos.frames import read_video

pytestmark = pytest.mark.once

AXES = dict(zip("NTHWC", (7, 5, 6, 8, 3), strict=True))


def films(layout, seed=0, **sizes):
    shape = [(AXES | sizes)[axis] for axis in layout]
    return np.random.default_rng(seed).random(shape).astype("float32")


def all_videos(sets):
    """The videos of both sets, in an order that does not depend on the draw."""
    videos = [video for data in sets for video in data.videos]
    return np.stack(sorted(videos, key=lambda video: video.ravel()[0]))


# Layouts


@pytest.mark.parametrize(
    "layout", ["NTHW", "TNHW", "NTHWC", "NTCHW", "TNCHW", "TNHWC", "NHWT", "CHWTN"]
)
def test_axes_are_in_the_order_of_the_layout(layout):
    x = films(layout)
    sets = zoo.data.from_arrays(x, frames=5, batch_size=1, layout=layout)
    grey = "C" not in layout
    wanted = np.einsum(f"{layout}->NTHW{'' if grey else 'C'}", x)
    wanted = wanted[..., None] if grey else wanted
    wanted = wanted[np.argsort(wanted[:, 0, 0, 0, 0])]
    np.testing.assert_array_equal(all_videos(sets), wanted)
    one = Videos(x, frames=5, batch_size=7, layout=layout)
    assert one[0][0].shape == wanted.shape


def test_a_list_of_videos_has_a_layout_too():
    x = films("NTCHW")
    sets = zoo.data.from_arrays(list(x), frames=5, batch_size=1, layout="NTCHW")
    assert sets[0].frame_shape == (6, 8, 3)
    lengths = [films("TCHW", T=n) for n in (5, 9)]
    videos = Videos(lengths, frames=5, layout="NTCHW").videos
    assert [video.shape for video in videos] == [(5, 6, 8, 3), (9, 6, 8, 3)]
    with pytest.raises(ValueError, match="must begin with N for a list .* 'TNCHW'"):
        Videos(list(x), frames=5, layout="TNCHW")


@pytest.mark.parametrize("layout", ["THW", "NTHH", "NTHWCC", "nthw", "", 4])
def test_a_layout_names_each_axis_once(layout):
    with pytest.raises(ValueError, match="`layout` must have each letter of NTHW or"):
        zoo.data.from_arrays(films("NTHW"), frames=5, layout=layout)


def test_a_layout_has_a_letter_for_each_axis():
    for x in (films("NTHWC"), list(films("NTHWC"))):
        with pytest.raises(ValueError, match="letter for each axis; got 'N?THW' for"):
            zoo.data.from_arrays(x, frames=5, layout="NTHW")


@pytest.mark.parametrize(
    ("shape", "layouts"),
    [
        # The published file of Moving MNIST, as it is and with channels.
        ((20, 1000, 6, 6), ("NTHW", "TNHW")),
        ((20, 30, 6, 6, 1), ("NTHWC", "TNHWC")),
        ((20, 30, 1, 6, 6), ("NTCHW", "TNCHW")),
        # Channels first, or frames that are 4 pixels high with 5 channels.
        ((30, 20, 4, 8, 5), ("NTHWC", "NTCHW")),
        ((30, 20, 3, 8, 8), ("NTHWC", "NTCHW")),
        # One video with channels, or frames that are 3 pixels wide.
        ((30, 20, 8, 3), ("NTHW",)),
    ],
)
def test_where_two_layouts_fit_the_layout_is_asked_for(shape, layouts):
    x = np.zeros(shape, "uint8")
    with pytest.raises(ValueError, match="`layout` must be given") as error:
        zoo.data.from_arrays(x, frames=10)
    for layout in layouts:
        assert f"'{layout}'" in str(error.value)
        sizes = dict(zip(layout, shape, strict=True))
        train, valid = zoo.data.from_arrays(x, frames=10, batch_size=1, layout=layout)
        assert len(train.videos) + len(valid.videos) == sizes["N"]
        assert train.videos[0].shape[0] == sizes["T"]
        assert train.frame_shape == (sizes["H"], sizes["W"], sizes.get("C", 1))
    with pytest.raises(ValueError, match="`layout` must be given"):
        Videos(x, frames=10)


@pytest.mark.parametrize(
    "shape",
    [
        (20, 12, 8, 8, 1),
        (20, 20, 8, 8),
        (4, 30, 8, 8, 3),  # as 30 videos these would be too short
        (12, 10, 8, 8, 5),
        (12, 10, 4, 8, 3),
        (12, 10, 3, 8),
    ],
)
def test_the_default_layouts_need_no_layout(shape):
    train, valid = zoo.data.from_arrays(np.zeros(shape), frames=10, batch_size=1)
    assert len(train.videos) + len(valid.videos) == shape[0]
    assert train.videos[0].shape == (*shape[1:4], *(shape[4:] or (1,)))


# Pictures


def save_oriented(path, pixels, orientation):
    """A picture that its EXIF orientation turns to be `pixels`."""
    turned = {
        1: pixels,
        3: np.rot90(pixels, 2),
        6: np.rot90(pixels),
        2: pixels[:, ::-1],
    }
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(turned[orientation])).save(path, exif=exif)


@pytest.mark.parametrize("orientation", [1, 2, 3, 6])
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".webp"])
def test_pictures_of_phones_stand_upright(tmp_path, orientation, suffix):
    pixels = np.zeros((40, 24, 3), "uint8")
    pixels[:16, :8] = 255
    (tmp_path / "video").mkdir()
    path = tmp_path / "video" / f"frame{suffix}"
    save_oriented(path, pixels, orientation)
    frames, shape = read_video(path.parent, (40, 24), "RGB")
    assert shape == (40, 24)
    np.testing.assert_allclose(frames[0], pixels, atol=40)  # JPEG has losses
    np.testing.assert_allclose(read_grey(path), pixels[..., 0], atol=40)


def test_sixteen_bits_stand_upright(tmp_path):
    pixels = np.arange(6, dtype="uint16").reshape(2, 3) * 10_000
    save_oriented(tmp_path / "deep.png", pixels, 6)
    np.testing.assert_array_equal(read_grey(tmp_path / "deep.png"), pixels)


def hidden_white(alpha):
    """White pixels, of which only those with alpha are to be seen."""
    return Image.fromarray(np.dstack([np.full((*alpha.shape, 3), 255, "uint8"), alpha]))


@pytest.mark.parametrize(
    ("mode", "suffix"),
    [(m, s) for m in ("RGBA", "LA", "P") for s in (".png", ".webp")]
    + [("RGBA", ".gif")],  # Pillow writes no others with transparency
)
def test_transparent_parts_are_black(tmp_path, mode, suffix):
    alpha = np.zeros((8, 8), "uint8")
    alpha[2:5, 1:4] = 255
    half = alpha if mode == "P" or suffix == ".gif" else alpha // 2
    image = hidden_white(half)
    if mode == "LA":
        image = image.convert("LA")
    if mode == "P":
        image = image.quantize()
    folder = tmp_path / "video"
    folder.mkdir()
    options = {"lossless": True, "exact": True} if suffix == ".webp" else {}
    path = folder / f"frame{suffix}"
    image.save(path, **options)
    for source in [path] + [folder] * (suffix != ".gif"):
        for colours in ("L", "RGB"):
            frames, _ = read_video(source, (8, 8), colours)
            np.testing.assert_allclose(frames[0, ..., 0], half, atol=1)
    np.testing.assert_allclose(read_grey(path), half, atol=1)


def test_frames_of_an_animation_are_black_where_they_are_transparent(tmp_path):
    alpha = np.zeros((4, 8, 8), "uint8")
    for t in range(4):
        alpha[t, t : t + 3, 1:4] = 255
    first, *others = map(hidden_white, alpha)
    for name, options in {
        "a.gif": {"disposal": 2},
        "a.webp": {"lossless": True, "exact": True},
        "a.png": {"disposal": 1},
    }.items():
        first.save(
            tmp_path / name,
            save_all=True,
            append_images=others,
            duration=100,
            **options,
        )
        frames, _ = read_video(tmp_path / name, (8, 8))
        np.testing.assert_allclose(frames[..., 0], alpha, atol=1, err_msg=name)


# Folders


def animate(path, n=6, side=(8, 8), duration=100):
    """An animation whose frames have greys of 0, 20, 40, ..."""
    first, *others = (Image.new("L", side[::-1], 20 * i) for i in range(n))
    options = {"duration": duration} if duration else {}
    first.save(path, save_all=True, append_images=others, **options)


def test_what_is_not_read_is_named_and_counted(tmp_path, monkeypatch):
    for name in "ab":
        animate(tmp_path / f"{name}.gif")
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "deeper").mkdir()
    (tmp_path / "c" / "notes.txt").touch()
    for i in range(6):
        Image.new("L", (8, 8), 20 * i).save(tmp_path / "c" / f"{i}.png")
    (tmp_path / "photo.jpg").touch()
    (tmp_path / ".hidden").touch()
    names = r"3 file\(s\) or folder\(s\) .*: c/deeper, c/notes.txt, photo.jpg\. Videos"
    with pytest.warns(UserWarning, match=names) as caught:
        sets = zoo.data.from_folder(tmp_path, (8, 8), frames=6, batch_size=1)
    assert len(caught) == 1 and caught[0].filename == __file__
    assert sum(len(data.videos) for data in sets) == 3
    monkeypatch.setitem(sys.modules, "av", None)
    monkeypatch.setattr("zoo.data.videos.files.has_pyav", lambda: False)
    (tmp_path / "film.MP4").touch()
    with pytest.warns(UserWarning, match=r"4 .*film.MP4, .*: pip install av\.") as all_:
        zoo.data.from_folder(tmp_path, (8, 8), frames=6, batch_size=1)
    assert len(all_) == 1
    for i in range(30):
        (tmp_path / f"{i}.txt").touch()
    with pytest.warns(UserWarning, match=r"34 file.* and 24 more\."):
        zoo.data.from_folder(tmp_path, (8, 8), frames=6, batch_size=1)


def test_what_is_not_read_beside_classes_is_named(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
        animate(tmp_path / name / "one.gif")
    animate(tmp_path / "lost.gif")
    (tmp_path / "c").mkdir()
    with pytest.warns(UserWarning, match=r"2 file.*: c, lost.gif\."):
        *sets, names = zoo.data.from_folder(
            tmp_path, (8, 8), labels="folders", frames=6, batch_size=1
        )
    assert names == ["a", "b", "c"]
    assert sum(len(data.videos) for data in sets) == 2


def test_a_folder_in_which_everything_is_read_brings_no_warning(tmp_path):
    for name in "ab":
        animate(tmp_path / f"{name}.gif")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        zoo.data.from_folder(tmp_path, (8, 8), frames=6, batch_size=1)


def test_a_folder_without_videos_says_what_it_has(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=r"a folder of images for each video\.$"):
        zoo.data.from_folder(tmp_path, (8, 8))
    (tmp_path / "notes.txt").touch()
    with pytest.raises(ValueError, match="has no videos. .* not read: notes.txt"):
        zoo.data.from_folder(tmp_path, (8, 8))
    (tmp_path / "film.mov").touch()
    monkeypatch.setattr("zoo.data.videos.files.has_pyav", lambda: False)
    with pytest.raises(ImportError, match="film.mov, notes.txt.* pip install av"):
        zoo.data.from_folder(tmp_path, (8, 8))
    (tmp_path / "film.mov").unlink()
    (tmp_path / "class").mkdir()
    animate(tmp_path / "class" / "a.gif")
    with pytest.warns(UserWarning, match="class/a.gif, notes.txt"):
        with pytest.raises(ValueError, match="class must .* images.*labels='folders'"):
            zoo.data.from_folder(tmp_path, (8, 8))


def test_pictures_of_one_video_have_one_size(tmp_path):
    for i, size in enumerate([(8, 8), (8, 8), (8, 6)]):
        Image.new("L", size).save(tmp_path / f"{i}.png")
    with pytest.raises(ValueError, match="2.png must have frames of one size; got 8 x"):
        read_video(tmp_path, (8, 8))


def test_frames_are_stretched_or_cropped(tmp_path):
    """A white square in the middle of frames of 8 x 24."""
    pixels = np.zeros((8, 24), "uint8")
    pixels[:, 8:16] = 255
    (tmp_path / "video").mkdir()
    Image.fromarray(pixels).save(tmp_path / "video" / "0.png")
    stretched, _ = read_video(tmp_path / "video", (8, 6))
    assert stretched[0, :, 0].max() == 0 and stretched[0, :, 2:4].min() > 200
    cropped, _ = read_video(tmp_path / "video", (8, 8), crop_to_aspect_ratio=True)
    assert cropped.min() == 255


def test_upright_and_lying_videos_are_not_stretched_unsaid(tmp_path):
    animate(tmp_path / "a.gif", side=(8, 16))
    animate(tmp_path / "b.gif", side=(16, 8))
    options = {"frames": 6, "batch_size": 1}
    with pytest.warns(UserWarning, match="1 portrait and 1 landscape .* 8 x 8") as all_:
        zoo.data.from_folder(tmp_path, (8, 8), **options)
    assert len(all_) == 1 and all_[0].filename == __file__
    zoo.data.from_folder(tmp_path, (8, 8), crop_to_aspect_ratio=True, **options)


def test_a_lower_frame_rate_takes_the_frames_on_the_screen(tmp_path):
    """Frames that are shown for 100, 300, 100 and 200 milliseconds."""
    animate(tmp_path / "a.gif", 4, duration=[100, 300, 100, 200])
    for fps, greys in [
        (None, [0, 20, 40, 60]),
        (5, [0, 20, 40]),  # at 0, 0.2 and 0.4 seconds
        (2.5, [0, 40]),
        (0.5, [0]),
    ]:
        frames, _ = read_video(tmp_path / "a.gif", (8, 8), fps=fps)
        np.testing.assert_allclose(frames[:, 0, 0, 0], greys, atol=2)
    with pytest.raises(ValueError, match="`fps` must be at most the rate of .* got 20"):
        read_video(tmp_path / "a.gif", (8, 8), fps=20)


def test_a_rate_is_above_zero_and_of_videos_that_have_one(tmp_path):
    animate(tmp_path / "a.gif", duration=None)
    animate(tmp_path / "b.gif", duration=None)
    for fps in (0, -1, np.nan, np.inf, "10"):
        with pytest.raises(ValueError, match="`fps` must be a number of frames"):
            zoo.data.from_folder(tmp_path, (8, 8), fps=fps)
    with pytest.raises(ValueError, match="a.gif must have a frame rate"):
        zoo.data.from_folder(tmp_path, (8, 8), fps=10)
    (tmp_path / "0").mkdir()
    Image.new("L", (8, 8)).save(tmp_path / "0" / "0.png")
    with pytest.raises(ValueError, match="0 must have a frame rate"):
        zoo.data.from_folder(tmp_path, (8, 8), fps=10)


# Video files


def encode(path, frames, rate=10, codec="libx264", pixels="yuv420p", turn=0, **options):
    """Write frames of shape (n, height, width, 3 or 4) as a video file."""
    av = pytest.importorskip("av", reason="PyAV is not installed")
    container = options.pop("container", {})
    with av.open(str(path), "w", options=container) as file:
        stream = file.add_stream(codec, rate=rate, options=options)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = pixels
        if turn:
            stream.set_display_rotation(turn)
        kind = "rgba" if frames[0].shape[-1] == 4 else "rgb24"
        for frame in frames:
            file.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format=kind)))
        file.mux(stream.encode())
    return path


def scene(n=12, shape=(32, 48)):
    """A red corner, and a bar below that gets brighter with time."""
    frames = np.zeros((n, *shape, 3), "uint8")
    frames[:, :16, :16, 0] = 255
    for t in range(n):
        frames[t, 16:] = 20 * t
    return frames


@pytest.mark.parametrize(
    ("suffix", "codec"),
    [
        (".mp4", "libx264"),
        (".MOV", "libx264"),
        (".avi", "mpeg4"),
        (".webm", "libvpx"),
        (".mkv", "ffv1"),
    ],
)
def test_video_files_are_read(tmp_path, suffix, codec):
    for name in "ab":
        encode(tmp_path / f"{name}{suffix}", scene(), codec=codec, rate=10)
    options = {"frames": 12, "batch_size": 1, "colour": True}
    train, valid = zoo.data.from_folder(tmp_path, (32, 48), **options)
    for data in (train, valid):
        (video,) = data.videos
        np.testing.assert_allclose(video[:, 20:, :, 1], scene()[:, 20:, :, 1], atol=12)
        assert video[:, 4:12, 4:12, 0].min() > 200 > 60 > video[:, 4:12, 4:12, 1].max()
    train, _ = zoo.data.from_folder(tmp_path, (32, 48), fps=5, frames=6, batch_size=1)
    found = train.videos[0][:, 24, 24, 0].astype(int)
    np.testing.assert_allclose(found, 40 * np.arange(6), atol=12)
    with pytest.raises(ValueError, match="a.* must have at least 7 frames.* got 6"):
        zoo.data.from_folder(tmp_path, (32, 48), fps=5, frames=7)
    with pytest.raises(ValueError, match="must be at most the rate of .*, 10 frames"):
        zoo.data.from_folder(tmp_path, (32, 48), fps=24)


@pytest.mark.parametrize("turn", [90, 180, -90])
def test_videos_of_phones_stand_upright(tmp_path, turn):
    """A phone held on its side writes how the frames are to be turned."""
    path = encode(tmp_path / "a.mp4", scene(), turn=turn)
    wanted = np.rot90(scene(), turn // 90, axes=(1, 2))
    frames, shape = read_video(path, wanted.shape[1:3], "RGB")
    assert shape == wanted.shape[1:3]
    np.testing.assert_allclose(frames[..., 1], wanted[..., 1], atol=60)
    assert abs(frames[..., 0].astype(int) - wanted[..., 0]).mean() < 10


def test_the_matrix_of_a_phone_held_upright(tmp_path):
    """Bytes as phones write them: to be shown turned clockwise."""
    path = encode(tmp_path / "a.mp4", scene())
    one, minus, end = b"\0\1\0\0", b"\xff\xff\0\0", b"\x40\0\0\0"
    none = b"\0" * 4
    identity = one + none * 3 + one + none * 3 + end
    turned = none + one + none + minus + none * 4 + end
    content = path.read_bytes()
    place = content.index(identity, content.index(b"tkhd"))
    path.write_bytes(content[:place] + turned + content[place + len(turned) :])
    frames, shape = read_video(path, (48, 32), "RGB")
    assert shape == (48, 32)
    assert frames[:, 4:12, -12:-4, 0].min() > 200  # the corner, now at the upper right


def test_transparent_parts_of_videos_are_black(tmp_path):
    alpha = np.zeros((4, 32, 48, 1), "uint8")
    alpha[:, :16] = 255
    white = np.concatenate([np.full((4, 32, 48, 3), 255, "uint8"), alpha], axis=-1)
    path = encode(tmp_path / "a.mov", white, codec="qtrle", pixels="argb")
    frames, _ = read_video(path, (32, 48))
    np.testing.assert_array_equal(frames, alpha)
    path = encode(tmp_path / "a.webm", white, codec="libvpx-vp9", pixels="yuva420p")
    with pytest.raises(ValueError, match="a.webm must be opaque; .*Convert it: ffmpeg"):
        read_video(path, (32, 48))


def test_videos_that_cannot_be_read_are_named(tmp_path):
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 255, (30, 64, 64, 3)).astype("uint8")
    whole = encode(tmp_path / "a.mp4", noise, container={"movflags": "faststart"})
    content = whole.read_bytes()
    for broken in (b"", b"hello", content[:200], content[: len(content) // 2]):
        whole.write_bytes(broken)
        said = "has no video track" if len(broken) == 200 else "cannot be read as a vid"
        with pytest.raises(ValueError, match=f"a.mp4 .*{said}"):
            read_video(whole, (8, 8))
    whole.write_bytes(content)
    # Damage that decoders hide: a last frame that is cut, frames with wrong bytes.
    cut = encode(tmp_path / "cut.avi", noise, codec="huffyuv", pixels="yuv422p")
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    wrong = encode(tmp_path / "wrong.avi", noise, codec="mpeg4")
    flipped = bytearray(wrong.read_bytes())
    for i in range(len(flipped) // 2, len(flipped) // 2 + 300):
        flipped[i] ^= 0xFF
    wrong.write_bytes(flipped)
    for path in (cut, wrong):
        with pytest.raises(ValueError, match=f"{path.name} must be a video file;"):
            read_video(path, (8, 8))
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in "ab":
        (folder / f"{name}.mp4").write_bytes(content)
    (folder / "c.avi").touch()
    with pytest.raises(ValueError, match="c.avi must be .* cannot be read as a video"):
        zoo.data.from_folder(folder, (8, 8))
    path = encode(tmp_path / "a.mkv", noise, codec="mpeg4")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.warns(UserWarning, match="a.mkv should last 3.0 s.* It may be cut off"):
        read_video(path, (8, 8))
    path = encode(tmp_path / "deep.mkv", noise, codec="ffv1", pixels="yuv420p10le")
    with pytest.raises(ValueError, match="deep.mkv must have 8 bits .*; got 10. Conv"):
        read_video(path, (8, 8))


def test_a_file_of_sound_only_is_named(tmp_path):
    av = pytest.importorskip("av", reason="PyAV is not installed")
    with av.open(str(tmp_path / "a.mp4"), "w") as file:
        stream = file.add_stream("aac", rate=44100)
        sound = av.AudioFrame.from_ndarray(
            np.zeros((1, 1024), "float32"), format="fltp", layout="mono"
        )
        sound.sample_rate = 44100
        file.mux(stream.encode(sound))
        file.mux(stream.encode())
    with pytest.raises(ValueError, match="a.mp4 must have a video track"):
        read_video(tmp_path / "a.mp4", (8, 8))


def test_frames_of_a_video_have_one_size(tmp_path):
    """Two streams of MPEG, one behind the other."""
    path = tmp_path / "a.mkv"
    with open(path, "wb") as file:
        for side in (32, 64):
            part = tmp_path / f"{side}.m2v"
            encode(part, scene(4, (side, side)), 25, "mpeg2video")
            file.write(part.read_bytes())
    with pytest.raises(ValueError, match="must have frames of one size; got 32 x 32 "):
        read_video(path, (8, 8))
