prime() {
  n=$1
  i=2
  while [ "$i" -lt "$n" ]; do
    if [ $((n % i)) -eq 0 ]; then
      echo no
      return
    fi
    i=$((i + 1))
  done
  echo yes
}
