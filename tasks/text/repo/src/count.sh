count() {
  want=$1
  word=$2
  out=0
  while [ -n "$word" ]; do
    rest=${word#?}
    if [ "${word%"$rest"}" = "$want" ]; then
      out=$((out + 1))
    fi
    word=$rest
  done
  echo "$out"
}
