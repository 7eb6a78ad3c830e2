"""Does what a definition is like before Stage 2 predict how well it is internalized?"""
