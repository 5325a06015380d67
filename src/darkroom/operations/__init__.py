"""The verbs: each a thin typed function over the rooms below; every face is derived from them."""
