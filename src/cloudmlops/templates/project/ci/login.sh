#!/bin/sh
# sh ci/login.sh CLOUD COMMAND …: runs a command as the account that the token of continuous integration, ID_TOKEN, is
# exchanged for. No key is stored; what the command needs is gone when it has ended.
set -eu
umask 077
cloud=$1
shift
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
printf '%s' "$ID_TOKEN" > "$folder/token"
case $cloud in
vertex)
  # What Google's SDKs and Terraform read: where the token is, who takes it, and whose it becomes.
  cat > "$folder/google.json" << END
{
  "type": "external_account",
  "audience": "//iam.googleapis.com/$WORKLOAD_IDENTITY_PROVIDER",
  "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
  "token_url": "https://sts.googleapis.com/v1/token",
  "service_account_impersonation_url": "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/$SERVICE_ACCOUNT:generateAccessToken",
  "credential_source": { "file": "$folder/token", "format": { "type": "text" } }
}
END
  export GOOGLE_APPLICATION_CREDENTIALS="$folder/google.json"
  ;;
azureml)
  # What Azure's SDKs read, and below what Terraform's providers do.
  export AZURE_CLIENT_ID="$CLIENT_ID" AZURE_TENANT_ID="$TENANT_ID" AZURE_FEDERATED_TOKEN_FILE="$folder/token"
  export ARM_CLIENT_ID="$CLIENT_ID" ARM_TENANT_ID="$TENANT_ID" ARM_SUBSCRIPTION_ID="$SUBSCRIPTION_ID"
  export ARM_USE_OIDC=true ARM_OIDC_TOKEN_FILE_PATH="$folder/token"
  ;;
*)
  echo "login.sh knows vertex and azureml, not $cloud" >&2
  exit 2
  ;;
esac
"$@"
