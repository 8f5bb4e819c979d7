"""English words whose other forms no rule of endings leads to, and short forms of everyday words.

Forms that are more often another word are left out: "saw", "rose", "bit", "lives", "leaves", "lay".
"""

_FORMS_TEXT = """
beat: beaten
become: became
begin: began begun
bicycle: bike bikes
birthday: bday
blow: blew blown
break: broke broken
bring: brought
build: built
buy: bought
cat: kitty kitten kittens
catch: caught
child: children kid kids
choose: chose chosen
come: came
deal: dealt
dog: puppy puppies pup pups doggo
draw: drew drawn
dream: dreamt
drink: drank drunk
drive: drove driven
eat: ate eaten
fall: fell fallen
father: dad dads daddy papa
feel: felt
fight: fought
find: found
fly: flew flown
foot: feet
forget: forgot forgotten
freeze: froze frozen
get: got gotten
give: gave given
go: went gone
good: better best
grandfather: grandpa granddad
grandmother: grandma granny
grow: grew grown
hang: hung
hear: heard
hide: hid hidden
hold: held
keep: kept
know: knew known
lead: led
learn: learnt
leave: left
lend: lent
lose: lost
make: made
man: men
mean: meant
meet: met
mother: mom moms mommy mum mums mama
mouse: mice
pay: paid
person: people
photograph: photo photos pic pics
ride: rode ridden
rise: risen
run: ran
say: said
see: seen
seek: sought
sell: sold
send: sent
shake: shook shaken
shoot: shot
show: shown
sing: sang sung
sit: sat
sleep: slept
speak: spoke spoken
spend: spent
stand: stood
steal: stole stolen
stick: stuck
strike: struck
swear: swore sworn
swim: swam swum
take: took taken
teach: taught
tear: tore torn
television: tv
tell: told
think: thought
throw: threw thrown
tooth: teeth
understand: understood
vet: veterinarian
wake: woke woken
wear: wore worn
wife: wives
win: won
woman: women
worse: worst
write: wrote written
"""

BASES = {
    form: base
    for base, _, forms in (line.partition(": ") for line in _FORMS_TEXT.strip().splitlines())
    for form in forms.split()
}
"""A form, in lower case -> the word that it is a form of."""
