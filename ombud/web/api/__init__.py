"""The API under /v1: what calls may say (fields), what they are answered (views), and the functions between."""
