"""Video, pictures and folders of pictures, in and out."""
