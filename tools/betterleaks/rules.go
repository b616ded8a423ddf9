package main

import (
	"regexp"
	"strings"
)

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
id = "json-web-token"
regex = '''\b(eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,})'''
keywords = ["eyj"]

[[rules]]
id = "slack-webhook"
regex = '''https://hooks\.slack\.com/(?:services|workflows|triggers)/T[0-9A-Z]{6,}/[0-9A-Z]{6,}/[\w/]{16,}'''
keywords = ["hooks.slack.com"]
filter = '''
matchesAny(finding["secret"], [` + "`" + `(?i)x{8}|example` + "`" + `])
'''

[[rules]]
id = "discord-webhook"
regex = '''https://(?:canary\.|ptb\.)?discord(?:app)?\.com/api/webhooks/\d{17,20}/[\w-]{60,}'''
keywords = ["discord"]
`

// providerToken is what makers of tokens let everybody recognize. Betterleaks leaves out those with
// letters in order, as examples; what is one says so.
var (
	providerToken = regexp.MustCompile(`(?:^|[^\w-])(` + strings.Join([]string{
		`gh[pousr]_[0-9A-Za-z]{36}`,
		`github_pat_[0-9A-Za-z_]{22,}`,
		`(?:glpat|gldt|glrt|glcbt)-[\w-]{20,}`,
		`xox[abprse]-[\w-]{10,}`,
		`xapp-\d-[\w-]{10,}`,
		`[sr]k_(?:live|test)_[0-9A-Za-z]{16,}`,
		`sk-(?:ant|proj|svcacct)-[\w-]{16,}`,
		`hf_[A-Za-z]{30,}`,
		`npm_[0-9A-Za-z]{36}`,
		`pypi-AgE[\w-]{16,}`,
		`do[opr]_v1_[0-9a-z]{40,}`,
		`AIza[\w-]{35}`,
		`SG\.[\w-]{16,}\.[\w-]{16,}`,
		`hv[sbr]\.[\w-]{20,}`,
		`nvapi-[\w-]{20,}`,
		`dckr_(?:pat|oat)_[\w-]{20,}`,
		`dp\.(?:pt|st|ct)\.[\w.-]{20,}`,
		`lin_api_[0-9A-Za-z]{32,}`,
		`shp(?:at|ca|pa|ss)_[0-9A-Za-z]{32}`,
		`AGE-SECRET-KEY-1[0-9A-Z]{40,}`,
		`glsa_[0-9A-Za-z]{32}_[0-9A-Fa-f]{8}`,
		`eyJrIjoi[\w-]{20,}`,
		`NRAK-[0-9A-Z]{27}`,
		`ATATT3[\w=-]{60,}`,
		`sq0[a-z]{3}-[\w-]{22,}`,
		`ya29\.[\w-]{20,}`,
		`GOCSPX-[\w-]{20,}`,
		`ops_eyJ[\w-]{40,}`,
		`(?i:aws_secret_access_key["']?[ \t]*[:=][ \t]*["']?)[0-9A-Za-z/+]{40}`,
		`AccountKey=[0-9A-Za-z/+]{86}==`,
	}, "|") + `)`)
	exampleToken = regexp.MustCompile(`(?i)example|placeholder|x{8}|\*{3}|your[-_]|change.?me`)
)
