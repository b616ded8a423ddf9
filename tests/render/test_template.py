"""A path leads down a template: by keys, by items, through includes, into values."""

import pytest

from harness.core.values import KeyPath
from harness.render import template

FILE = "templates/deployment.yaml"
DEPLOYMENT = """\
{{- $name := "web" -}}
kind: Deployment
spec:
  {{- if .Values.replicas }}
  replicas: {{ .Values.replicas }}
  {{- end }}
  template:
    spec:
      {{- with .Values.priority }}
      priorityClassName: {{ . }}
      {{- end }}
      hostNetwork: true
      {{- with .Values.nodes }}
      nodeSelector:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      containers:
        - name: main
          image: {{ include "web.image" . }}
          securityContext:
            {{- include "web.context" . | nindent 12 }}
          ports:
            - name: http
              containerPort: 80
            {{- if .Values.grpc }}
            - name: grpc
              containerPort: 90
            {{- end }}
        - name: side
          image: busybox
          args:
            - run
            - --port={{ .Values.port }}
            {{- if .Values.fast }}
            - --fast
            {{- end }}
"""
HELPERS = """\
{{- define "web.image" -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- end -}}
{{- define "web.context" -}}
runAsNonRoot: true
capabilities:
  drop: [ALL]
{{- end -}}
"""
POD: KeyPath = ("spec", "template", "spec")
VALUE = {
    "spec": {
        "template": {
            "spec": {
                "containers": [
                    {"name": "main", "ports": [{"name": "grpc", "containerPort": 90}]},
                    {"name": "side", "args": ["run", "--port=80"]},
                ]
            }
        }
    }
}


@pytest.mark.parametrize(
    ("path", "line", "values"),
    [
        (("kind",), f"{FILE}:2", ()),
        (("spec", "replicas"), f"{FILE}:5", ("replicas",)),
        ((*POD, "priorityClassName"), f"{FILE}:10", ("priority",)),
        ((*POD, "hostNetwork"), f"{FILE}:12", ()),
        ((*POD, "nodeSelector", "zone"), f"{FILE}:14", ("nodes",)),
        ((*POD, "containers", 0, "image"), f"{FILE}:19", ("image.repository", "image.digest")),
        ((*POD, "containers", 1, "image"), f"{FILE}:30", ()),
        ((*POD, "containers", 0, "ports", 0, "containerPort"), f"{FILE}:27", ()),
        ((*POD, "containers", 1, "args", 1), f"{FILE}:33", ("port",)),
        ((*POD, "containers", 0, "securityContext", "runAsNonRoot"), "_helpers.tpl:5", ()),
        ((*POD, "containers", 0, "securityContext", "capabilities", "drop"), "_helpers.tpl:7", ()),
        ((*POD, "containers", 0, "livenessProbe"), f"{FILE}:18", ()),
        (("spec", "paused"), f"{FILE}:3", ()),
    ],
)
def test_follow(path: KeyPath, line: str, values: tuple[str, ...]) -> None:
    parsed = template.parse({FILE: DEPLOYMENT, "_helpers.tpl": HELPERS}, FILE)
    reached = parsed.follow(VALUE, path)
    assert reached
    assert f"{reached.line.path}:{reached.line.number}" == line
    assert tuple(".".join(each) for each in reached.values) == values


def test_an_empty_template_leads_nowhere() -> None:
    assert template.parse({FILE: ""}, FILE).follow({}, ("spec",)) is None
