fib() {
  n=$1
  a=0
  b=1
  i=0
  while [ "$i" -lt "$n" ]; do
    c=$((a + b))
    a=$b
    b=$c
    i=$((i + 1))
  done
  echo "$a"
}
