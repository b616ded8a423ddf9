"""Who may mount the file system, and who may write: its file-system policy.

The first policy of a file system takes AWS's default away, by which everybody may do everything.
So it must allow what is wanted (a policy that only denies plain text locks everyone out), and a
mount that presents no identity, as the EFS driver's do, is ``Principal: *``. Allowing alone does
not bind the account's own roles, whose identity policies could allow more: hence the two denials.
"""

Policy = dict[str, object]


def document(file_system: str, loader: str, server: str) -> Policy:
    """The policy: mount by TLS through the access points, write through the loader's alone.

    Args:
        file_system: its ARN.
        loader: ARN of the access point through which the store is filled.
        server: ARN of the access point through which it is read.
    """
    everyone = {"AWS": "*"}
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "MountThroughTheAccessPoints",
                "Effect": "Allow",
                "Principal": everyone,
                "Action": "elasticfilesystem:ClientMount",
                "Resource": file_system,
                "Condition": {
                    "Bool": {
                        "aws:SecureTransport": "true",
                        "elasticfilesystem:AccessedViaMountTarget": "true",
                    },
                    "StringEquals": {"elasticfilesystem:AccessPointArn": [loader, server]},
                },
            },
            {
                "Sid": "WriteThroughTheLoader",
                "Effect": "Allow",
                "Principal": everyone,
                "Action": "elasticfilesystem:ClientWrite",
                "Resource": file_system,
                "Condition": {
                    "Bool": {
                        "aws:SecureTransport": "true",
                        "elasticfilesystem:AccessedViaMountTarget": "true",
                    },
                    "StringEquals": {"elasticfilesystem:AccessPointArn": loader},
                },
            },
            {
                "Sid": "NobodyElseWrites",
                "Effect": "Deny",
                "Principal": everyone,
                "Action": [
                    "elasticfilesystem:ClientRootAccess",
                    "elasticfilesystem:ClientWrite",
                ],
                "Resource": file_system,
                "Condition": {
                    "StringNotEquals": {"elasticfilesystem:AccessPointArn": loader},
                },
            },
            {
                "Sid": "NothingInPlainText",
                "Effect": "Deny",
                "Principal": everyone,
                "Action": "*",
                "Resource": file_system,
                "Condition": {"Bool": {"aws:SecureTransport": "false"}},
            },
        ],
    }
