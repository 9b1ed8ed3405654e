# Makes the secrets, keys and certificates of a deployment in deploy\secrets, on Windows. The work
# is done by `myspinbot provision` in its image; options go on to it. The hosts file is written here,
# because a container cannot: run it as administrator for that.
#   deploy\provision\provision.ps1 --domain bot.example.org
#   deploy\provision\provision.ps1 -WriteHosts
param(
  [switch] $WriteHosts,
  [Parameter(ValueFromRemainingArguments = $true)] [string[]] $Options = @()
)
$ErrorActionPreference = 'Stop'
Set-StrictMode -Version Latest

$root = (Resolve-Path (Join-Path $PSScriptRoot '..\..')).Path
$image = if ($env:MYSPINBOT_CLI_IMAGE) { $env:MYSPINBOT_CLI_IMAGE } else { 'myspinbot/cli:0.1.0' }
$secrets = Join-Path $root 'deploy\secrets'

if (-not (Get-Command docker -ErrorAction SilentlyContinue)) {
  throw 'There is no docker. Install Docker Desktop, then run this again.'
}
docker image inspect $image *> $null
if ($LASTEXITCODE -ne 0) {
  docker build --quiet --file (Join-Path $root 'deploy\images\cli.Dockerfile') --tag $image $root | Out-Null
  if ($LASTEXITCODE -ne 0) { throw "The image $image could not be built." }
}

New-Item -ItemType Directory -Force -Path $secrets | Out-Null
# Only its owner may read it: file modes of the container mean nothing here.
icacls $secrets /inheritance:r /grant:r "${env:USERNAME}:(OI)(CI)F" | Out-Null

$told = docker run --rm --network none --volume "${secrets}:/work/deploy/secrets" `
  --workdir /work --entrypoint myspinbot $image provision @Options
if ($LASTEXITCODE -ne 0) { throw 'Provisioning failed; the reason stands above.' }
$told

if ($WriteHosts) {
  $hosts = Join-Path $env:SystemRoot 'System32\drivers\etc\hosts'
  $ours = $told | Where-Object { $_ -match '^(# myspinbot: (begin|end)|[0-9a-fA-F.:]+ \S+)$' }
  $kept = @()
  $inside = $false
  foreach ($line in Get-Content $hosts) {
    if ($line -eq '# myspinbot: begin') { $inside = $true }
    if (-not $inside) { $kept += $line }
    if ($line -eq '# myspinbot: end') { $inside = $false }
  }
  Set-Content -Path $hosts -Encoding ascii -Value ($kept + $ours)
}
