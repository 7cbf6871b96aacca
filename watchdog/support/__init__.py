"""
What a bug report needs, in one file, without secrets: `watchdog support`.

`rules.py` masks the rules file, `known.py` knows every secret that this host can name and hides it in
whatever form, `asking.py` asks for the parts, `bundle.py` puts them into one archive, and refuses if a secret
is left.
"""
