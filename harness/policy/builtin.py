"""What the engine itself reports: each a rule too, so that it has a why and a fix."""

from harness.policy.rule import Rule, declare

_RULES = (
    (
        "secrets/in-text",
        "a credential in a manifest, a setting, a note or code is in every clone forever",
        (
            "revoke it now, put its successor into an encrypted Secret (docs/secrets.md); if it "
            "is none, exceptions.yaml names the file with the reason"
        ),
    ),
    (
        "render/kustomize",
        "kustomize-controller would stop here; rules skip an environment that does not render",
        "correct the line that is named; `harness render --env ENV` shows the result",
    ),
    (
        "render/helm",
        "helm-controller would stop here; rules skip an environment that does not render",
        "correct the line that is named; `harness render --env ENV` shows the result",
    ),
    (
        "render/variable",
        "Flux turns a variable without a value into nothing, without a word",
        "add the key to clusters/ENV/site.yaml, or give a default: ${KEY:-default}",
    ),
    (
        "render/placeholder",
        "a value that is UNSET cannot be checked without a placeholder of valid form",
        "add the field's last key to harness/render/placeholders.yaml",
    ),
    (
        "site/form",
        "of another form it makes every name, address or host wrong that it is substituted into",
        "write the value as described; `harness init --env ENV NAME=VALUE` accepts no other",
    ),
    (
        "render/not-rendered",
        "what a third-party chart makes was not seen by any rule",
        "`harness tools` fetches it; where it cannot, exceptions.yaml says why, and until when",
    ),
    (
        "render/unknown",
        "Flux would read it and the render does not: what is checked is not what the cluster gets",
        "say the same in a way the render reads: values, the chart, or patches of a Kustomization",
    ),
    (
        "render/version-skew",
        "Flux may use a commit's chart a moment before or after its values",
        "give every new value a default, and keep old values accepted for one release",
    ),
    (
        "render/unset",
        "a cluster cannot be made from UNSET",
        "`harness init --env ENV` fills in what a user knows",
    ),
    (
        "schema/invalid",
        "the API server refuses the object, or drops the key without a word",
        "correct the field; unknown keys are spelled wrongly or belong to another API version",
    ),
    (
        "schema/none",
        "an object without a schema was not checked at all",
        "pin the module that holds its CRD in tools/schemas/modules.yaml",
    ),
    (
        "schema/eksctl",
        "eksctl refuses the file, some of it only after it has begun to make things",
        "correct the field; see eksctl's schema of ClusterConfig",
    ),
    (
        "api/refused",
        "Flux would stop here: the API server does not take the object",
        "correct the field as the API server says",
    ),
    (
        "api/immutable",
        "the API server refuses to change it in an object that exists: Flux would stop here",
        "keep the value that the previous release has, or give the object another name",
    ),
    (
        "admission/refused",
        "the API server does not let the pod in, and nothing is started",
        "correct the pod as the message says; its namespace's labels and infra/policies decide",
    ),
    (
        "schema/cloudformation",
        "CloudFormation refuses the stack, most of it after it has begun to make things",
        "correct what is named; `cfn-lint infra/foundation/template.yaml` says it again",
    ),
    (
        "yaml/unreadable",
        "no tool can read the file",
        "correct the YAML; most often it is the indentation above the line",
    ),
    (
        "yaml/tab",
        "YAML is indented by spaces alone",
        "replace the tab by two spaces",
    ),
    (
        "yaml/duplicate-key",
        "of two equal keys one wins, and which one depends on the tool",
        "keep one of them",
    ),
    (
        "yaml/anchor",
        "kustomize and helm expand anchors differently, and patches do not see them",
        "write the value out where it is used",
    ),
    (
        "yaml/boolean",
        "tools disagree whether the word is text or a boolean",
        "write true or false, or quote the text",
    ),
    (
        "yaml/lost-quotes",
        "kustomize drops the quotes before Flux substitutes: text becomes a number or a boolean",
        "write ${quote}${KEY}${quote}, and quote: '\"' under postBuild.substitute",
    ),
    (
        "exceptions/unknown-rule",
        "an exception of a rule that does not exist suppresses nothing, and reads as if it did",
        "correct the id; docs/rules.md lists them all",
    ),
    (
        "exceptions/bounded",
        "an exception for everything, or without an end, switches the rule off",
        "name the object (a file by its path), and a day within a year",
    ),
    (
        "exceptions/unused",
        "an exception that nothing needs hides the next mistake",
        "remove it",
    ),
    (
        "exceptions/expired",
        "an exception is a promise to come back by a date",
        "repair what it suppresses, or give it a new date with a new reason",
    ),
)

# Other tools that check the same (decision 8).
_LIKE = {
    "schema/invalid": ("kubeconform, which does it here",),
    "schema/none": ("kubeconform, which does it here",),
    "secrets/in-text": ("betterleaks, which does it here",),
    "schema/cloudformation": ("cfn-lint, which does it here",),
    "yaml/unreadable": ("yamllint",),
    "yaml/tab": ("yamllint",),
    "yaml/duplicate-key": ("yamllint key-duplicates",),
    "yaml/boolean": ("yamllint truthy",),
    "yaml/anchor": ("yamllint anchors",),
}

for identifier, why, fix in _RULES:
    declare(Rule(identifier, why=why, fix=fix, like=_LIKE.get(identifier, ())))

SERVER = declare(
    Rule(
        "server/refused",
        why="Flux would stop here: the API server does not take the object (`check --server`)",
        fix="read what the server says; admission policies are in infra/policies",
    )
)
