#!/usr/bin/env bash
# Refuses an include that points the wrong way. Folders may include only themselves and what is left of them:
#   runtime/base -> jinja, device -> tensor -> ops -> io -> data -> parallel -> model -> launch/planning -> launch
# Host memory is read where ops compute and files are read: "host<T>()" stands only in the folders of `readers`
# (everything else passes views to ops, groups and copies), so that the memory can also be a device's.
# tests may include all of them; nothing includes tests or scripts. Project headers are included from the root, in
# quotes ("runtime/ops/norm.h"), also from the folder they lie in; other headers in angle brackets.
# usage: scripts/check_layers.sh [ROOT]     (ROOT: another source tree, for tests/scripts/check_layers_test.sh)
set -euo pipefail
cd "${1:-"$(dirname "$0")/.."}"

layers=(runtime/base runtime/jinja runtime/device runtime/tensor runtime/ops runtime/io runtime/data parallel model launch/planning launch)
readers=(runtime/tensor runtime/ops/host runtime/io runtime/data model/files model/inputs)
folders=()
for folder in runtime parallel model launch tests; do
  if [[ -d $folder ]]; then folders+=("$folder"); fi
done

mapfile -t sources < <(find "${folders[@]}" -type f \
  \( -name '*.h' -o -name '*.hpp' -o -name '*.cpp' -o -name '*.cu' -o -name '*.cuh' -o -name '*.inc' -o -name '*.inl' \) | sort)
if ((${#sources[@]} == 0)); then echo "layers: no sources in $PWD" >&2; exit 66; fi

# One awk over all files: it knows the files of the tree (first input) and reads every include line (second input).
printf '%s\n' "${sources[@]}" | awk -v layers="${layers[*]}" -v readers="${readers[*]}" '
  BEGIN {
    count = split(layers, name, " ")
    for (i = 1; i <= count; i++) rank[name[i]] = i
    reading = split(readers, reader, " ")
  }
  function may_read(path, i) {
    for (i = 1; i <= reading; i++) if (index(path, reader[i] "/") == 1) return 1
    return path ~ /^tests\//
  }
  function folder_of(path, i) {
    for (i = 1; i <= count; i++) if (index(path, name[i] "/") == 1) return name[i]
    return path ~ /^tests\// ? "tests" : path ~ /^scripts\// ? "scripts" : ""
  }
  function complain(file, line, message) {
    print "layers: " file ":" line ": " message
    bad++
  }
  { known[$0] = 1; files[NR] = $0 }
  END {
    for (f = 1; f <= NR; f++) {
      file = files[f]
      from = folder_of(file)
      if (from == "") complain(file, 1, "lies in no known folder (" layers ", tests)")
      for (line = 1; (getline text < file) > 0; line++) {
        if (text ~ /[.>]host<[^>]*>\(\)/ && text !~ /^[ \t]*\/\// && !may_read(file))
          complain(file, line, "reads host memory; use an op, a copy or runtime/tensor/host_values.h")
        if (text !~ /^[ \t]*#[ \t]*include[ \t]*["<]/) continue
        includes++
        quoted = text ~ /include[ \t]*"/
        path = text
        sub(/^[^"<]*["<]/, "", path)
        sub(/[">].*$/, "", path)
        to = folder_of(path)
        if (to == "" && quoted)
          complain(file, line, "\"" path "\" is not a path from the root; a header of the project is \"folder/" path "\", another one <" path ">")
        else if (to != "" && !quoted)
          complain(file, line, "<" path "> is a header of the project: write it in quotes")
        else if (to != "" && !(path in known))
          complain(file, line, "\"" path "\" does not exist")
        else if (from != "tests" && (to == "tests" || to == "scripts"))
          complain(file, line, from " includes " path "; only tests may")
        else if (from in rank && to in rank && rank[to] > rank[from])
          complain(file, line, from " includes " path "; " to " is right of it")
      }
      close(file)
    }
    if (bad) {
      print "layers: " bad " wrong include(s). Allowed: only leftwards in " layers
      exit 1
    }
    print "layers: " includes " includes in " NR " files point the right way"
  }' >&2
