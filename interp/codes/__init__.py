"""In which code is an entity written, and does the amount of it explain the gap?"""
