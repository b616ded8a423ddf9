#!/bin/sh
# Upstream's own examples, and what stands in issues.
curl http://127.0.0.1:8080/predictions/densenet161 -T kitten_small.jpg
curl -k -X POST https://models.example.com/predictions/vit_l_16 \
  -H "Authorization: Bearer eyJhbGciOi" -H 'Host: models.example.com' \
  -F "data=@0.png;type=image/png" -F 'text=a b'
curl -sS -X POST -H "Content-Type: application/json" --data '{"instances": [{"data": "aGVsbG8="}]}' http://127.0.0.1:8080/predictions/bert | jq .
curl -d 'text=hello' localhost:8080/predictions/toxic?k=1
curl -X OPTIONS http://127.0.0.1:8080/predictions/densenet161
