package main

// rules adds to Betterleaks' own what a deployment's files hold and its rules leave out: words that
// people choose, and credentials inside addresses.
const rules = `
[extend]
useDefault = true
# harness.policy.credentials parses Secrets: SOPS may have encrypted them.
disabledRules = ["kubernetes-secret-yaml"]

[[rules]]
id = "password"
regex = '''(?i)\b[\w.-]*(?:password|passwd|passphrase)["']?[ \t]*[:=][ \t]*["'\x60]?([^\s"'\x60,;]{6,})'''
keywords = ["password", "passwd", "passphrase"]
filter = '''
matchesAny(get(attributes, "path", ""), [` + "`" + `\.(?:go|java|js|md|proto|py|rst|tpl|ts)$` + "`" + `])
|| matchesAny(finding["secret"], [` + "`" + `^[$<{\[(*&!/%|>@#~]|[({]|^\.\.` + "`" + `, ` + "`" + `(?i)^(?:unset|null|none|true|false|string|required|optional|undefined|enc\[)` + "`" + `, ` + "`" + `(?i)change.?me|replace|example|placeholder|your[-_ ]|dummy|redacted|x{4}|\*{3}|todo` + "`" + `])
'''

[[rules]]
id = "password-in-words"
regex = '''(?i)\b(?:password|passwd|passphrase)(?: is|:|=)[ \t]+["'\x60]?([^\s"'\x60]{8,})'''
keywords = ["password", "passwd", "passphrase"]
filter = '''
!matchesAny(get(attributes, "path", ""), [` + "`" + `(?:^|/)[^.]*$|\.(?:md|rst|txt)$` + "`" + `])
|| !matchesAny(finding["secret"], [` + "`" + `[0-9]` + "`" + `])
|| matchesAny(finding["secret"], [` + "`" + `^[$<{\[(*]` + "`" + `, ` + "`" + `(?i)change.?me|replace|example|your[-_ ]|x{4}|\*{3}` + "`" + `])
'''

[[rules]]
id = "password-in-code"
regex = '''(?i)\b[\w.]*(?:password|passwd|passphrase)["']?\]?[ \t]*[:=][ \t]*["']([^\s"'$<{%]{6,})["']'''
path = '''\.(?:go|java|js|py|ts)$'''
keywords = ["password", "passwd", "passphrase"]
filter = '''
entropy(finding["secret"]) <= 2.5
|| matchesAny(finding["secret"], [` + "`" + `(?i)change.?me|replace|example|placeholder|your[-_ ]|dummy|x{4}|\*{3}|^[a-z_.-]+$` + "`" + `])
'''

[[rules]]
id = "credential-in-address"
regex = '''(?i)\b[a-z][a-z0-9+.-]*://[^\s/:@$<{"'\x60]+:([^\s/@$<{"'\x60]{6,})@[\w.-]+'''
keywords = ["://"]
filter = '''
matchesAny(finding["secret"], [` + "`" + `(?i)^(?:password|passwd|secret|token|api.?key)$|change.?me|example|your[-_ ]|x{4}|\*{3}` + "`" + `])
'''

[[rules]]
id = "netrc"
regex = '''(?i)\bmachine\s+\S+\s+login\s+\S+\s+password\s+([^\s$<{]{6,})'''
keywords = ["machine"]

# The id of a key alone tells whose it is, and that the key is near.
[[rules]]
id = "aws-access-key-id"
regex = '''\b((?:AKIA|ASIA)[0-9A-Z]{16})\b'''
keywords = ["akia", "asia"]
filter = '''
matchesAny(finding["secret"], [` + "`" + `EXAMPLE$` + "`" + `])
'''

# What Betterleaks asks more of: a long body, entropy.
[[rules]]
id = "private-key-block"
regex = '''-----BEGIN [A-Z ]*PRIVATE KEY(?: BLOCK)?-----(?:\\n|\s)+[\w+/=]{20,}'''
keywords = ["private key"]

[[rules]]
id = "github-token"
regex = '''\b(gh[pousr]_[0-9A-Za-z]{36}|github_pat_[0-9A-Za-z_]{22,})'''
keywords = ["ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"]

[[rules]]
id = "json-web-token"
regex = '''\b(eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,})'''
keywords = ["eyj"]

[[rules]]
id = "discord-webhook"
regex = '''https://(?:canary\.|ptb\.)?discord(?:app)?\.com/api/webhooks/\d{17,20}/[\w-]{60,}'''
keywords = ["discord"]
`
