"""What holds for every test: examples are never judged by how long they take, since machines are shared."""

from hypothesis import settings

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
