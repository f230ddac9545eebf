"""Sign-in at an OpenID provider: an adapter. Authlib is loaded with the first sign-in."""
