# What the stack tells, told by the root: Terraform shows the outputs of no other module.
{%- for output in outputs %}

output "{{ output }}" {
  description = "As the stack has it."
  value       = module.cloudmlops.{{ output }}
}
{%- endfor %}
