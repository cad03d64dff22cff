

name='lab-07'
addresses=$(hostname -I)

echo "The desktop is on the screen of $name ($addresses)."

