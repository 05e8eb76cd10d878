"""Reading and writing video files: the public path of :mod:`videoinpaint.clips.files.video`."""

from videoinpaint.clips.files.video import VideoInfo, VideoReader, VideoWriter, probe, read_video, write_video

__all__ = ["VideoInfo", "VideoReader", "VideoWriter", "probe", "read_video", "write_video"]
