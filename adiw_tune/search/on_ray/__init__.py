"""The part that Ray runs: everything of a search that imports Ray, but for the replay."""
