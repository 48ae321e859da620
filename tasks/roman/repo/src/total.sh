total() {
  word=$1
  out=0
  while [ -n "$word" ]; do
    case "$word" in
      V*) out=$((out + 5)) ;;
      I*) out=$((out + 1)) ;;
    esac
    word=${word#?}
  done
  echo "$out"
}
