{%- if releases %}

# What a release does, here as in its workflow, with TARGET, GIVEN, VERSION and APPROVER from the environment.
.PHONY: train gate promote
VERSION ?= $(shell cat version.txt 2>/dev/null)
export VERSION
{%- if image %}
IMAGE_AT ?= http://localhost:8080
{%- endif %}

train: $(VENV)/made  ## Register a version on TARGET, unless GIVEN is one; its number goes into version.txt
	$(BIN)/python release.py --target "$$TARGET" train -- "$$GIVEN" > version.txt

{% if image -%}
gate: $(VENV)/made  ## Held-out rows of VERSION, and the latency of the image that will serve it: needs docker
	rm -rf .gate
	$(BIN)/cloudmlops models download {{ name }} "$$VERSION" .gate/model --target "$$TARGET"
	chmod -R a+rX .gate/model
	docker build --file docker/serving.Dockerfile --tag {{ name }}-serving .
	-docker rm --force {{ name }}-gate
	docker create --name {{ name }}-gate --publish 8080:8080 {{ name }}-serving --model /model --host 0.0.0.0 --port 8080
	docker cp .gate/model {{ name }}-gate:/model
	docker start {{ name }}-gate
	curl --silent --show-error --fail --retry 30 --retry-all-errors --retry-delay 2 $(IMAGE_AT)/healthz
	$(BIN)/python release.py check "$$VERSION" --target "$$TARGET" --address $(IMAGE_AT)
	docker rm --force {{ name }}-gate
{%- else -%}
gate: $(VENV)/made  ## Held-out rows{{ ', features' if feature_store }} and latency of VERSION
	$(BIN)/python release.py check "$$VERSION" --target "$$TARGET"
{%- endif %}

promote: $(VENV)/made  ## VERSION into production, in the name of APPROVER
	$(BIN)/python release.py promote "$$VERSION" --target "$$TARGET" --approver "$$APPROVER"
{%- endif %}
{%- if not learns %}

# What a deployment does, here as in its workflow, with TARGET from the environment.
.PHONY: compare schedule

compare: $(VENV)/made  ## How features.py differs from what is registered on TARGET
	$(BIN)/python refresh.py compare --target "$$TARGET"

schedule: $(VENV)/made  ## Refresh every night on TARGET, with the source of now, and look afterwards
	$(BIN)/python refresh.py schedule --target "$$TARGET"
{%- endif %}
{%- if stacks %}

# What Terraform would change, here as in its workflow; its variables are in terraform.tfvars.
.PHONY:{% for cloud in clouds %} plan-{{ cloud }}{% endfor %}
TERRAFORM ?= terraform
{%- if 'vertex' in clouds %}

plan-vertex:  ## What Terraform would change on Google Cloud; its state lies in the bucket STATE_BUCKET
	cd infrastructure/google && $(TERRAFORM) init -input=false -backend-config=bucket="$$STATE_BUCKET"
	cd infrastructure/google && $(TERRAFORM) plan -input=false -lock=false
{%- endif %}
{%- if 'azureml' in clouds %}

plan-azureml:  ## What Terraform would change on Azure; its state lies in the storage account STATE_ACCOUNT
	cd infrastructure/azure && $(TERRAFORM) init -input=false -backend-config=storage_account_name="$$STATE_ACCOUNT" \
	  -backend-config=container_name=state -backend-config=key={{ name }} -backend-config=use_azuread_auth=true
	cd infrastructure/azure && $(TERRAFORM) plan -input=false -lock=false
{%- endif %}
{%- endif %}
