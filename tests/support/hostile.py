"""Strings that hurt programs which take them for anything but text."""

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{ 7 * 7 }} {% raw %}",
    "\x1b[31mred\x1b[0m \x07",
    "../../etc/passwd",
    'quote" back\\slash \n newline',
    "\u202egnirts desrever\u202c",
)
