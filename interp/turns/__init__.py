"""Updates turned while training: do tag-dependent codes, or aligned gradients, cause what forms?"""
