"""What things are called together: whoever asks for an animal or a country is answered by "owl" and "Peru".

A memory is found by the kinds of what it names as if it had said these too. Everyday English, one word each;
what is as often something else, or somebody's name, is left out ("turkey", "Jordan", "Florence").
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from memraft_server.projections.text_terms import terms_of

_KINDS_TEXT = """
country: afghanistan albania algeria america angola argentina armenia australia austria bangladesh
 belgium bolivia brazil britain bulgaria cambodia cameroon canada chile china colombia croatia cuba
 cyprus czechia denmark ecuador egypt england estonia ethiopia finland france germany ghana greece
 greenland guatemala haiti honduras hungary iceland india indonesia iran iraq ireland italy jamaica japan
 kazakhstan kenya korea kuwait laos latvia lebanon liberia libya lithuania luxembourg madagascar malaysia
 malta mexico moldova monaco mongolia montenegro morocco mozambique myanmar namibia nepal netherlands
 nicaragua nigeria norway oman pakistan panama paraguay peru philippines poland portugal qatar romania
 russia rwanda scotland senegal serbia singapore slovakia slovenia somalia spain sudan sweden switzerland
 syria taiwan tanzania thailand tunisia uganda uk ukraine uruguay usa uzbekistan venezuela vietnam wales
 yemen zambia zimbabwe
state: alabama alaska arizona arkansas california carolina colorado connecticut dakota delaware florida
 hawaii idaho illinois indiana iowa kansas kentucky louisiana maine maryland massachusetts michigan
 minnesota mississippi missouri montana nebraska nevada ohio oklahoma oregon pennsylvania tennessee texas
 utah vermont wisconsin wyoming
city: amsterdam athens atlanta baltimore bangkok barcelona beijing berlin boston brussels bucharest
 budapest cairo chicago copenhagen dallas delhi denver detroit dubai dublin edinburgh frankfurt geneva
 hamburg helsinki houston istanbul jakarta johannesburg karachi kyoto lagos lima lisbon liverpool london
 madrid manchester manila melbourne memphis miami milan minneapolis montreal moscow mumbai munich nairobi
 naples nashville orlando osaka oslo paris philadelphia pittsburgh portland prague rome sacramento
 santiago seattle seoul shanghai stockholm tampa tehran tokyo toronto vancouver venice vienna warsaw
 washington zurich
continent: africa antarctica asia europe
language: arabic chinese dutch english french german greek hebrew hindi italian japanese korean latin
 mandarin polish portuguese russian spanish swedish turkish vietnamese
religion: buddhism christianity hinduism islam judaism buddhist catholic christian hindu jewish muslim
sport: archery badminton baseball basketball boxing climbing cricket curling cycling fencing football
 golf gymnastics handball hockey jogging judo karate kayaking kickboxing lacrosse marathon netball polo
 rafting rowing rugby running sailing skateboarding skating skiing snowboarding soccer softball squash
 surfing swimming taekwondo tennis triathlon volleyball wrestling yoga
exercise: cardio cycling gym jogging pilates running swimming weights workout yoga
instrument: accordion banjo bassoon cello clarinet drums flute guitar harmonica harp keyboard mandolin
 oboe organ piano saxophone trombone trumpet tuba ukulele viola violin
music: album band blues classical concert guitar hiphop jazz opera piano pop rap reggae rock song violin
animal: bear bee bird bunny butterfly camel cat chicken cow crocodile deer dog dolphin donkey duck eagle
 elephant fish fox frog giraffe goat goose gorilla hamster hedgehog horse kangaroo koala lion lizard
 monkey moose mouse octopus otter owl panda parrot penguin pig pigeon rabbit raccoon rat shark sheep
 snake spider squirrel swan tiger tortoise turtle whale wolf zebra
pet: bunny cat dog ferret goldfish hamster kitten lizard parrot puppy rabbit snake tortoise turtle
family: aunt brother child cousin daughter father grandfather grandmother husband mother nephew niece
 parent sibling sister son uncle wife
relative: aunt brother cousin daughter father grandfather grandmother mother nephew niece sister son
 uncle
food: bacon bread burger burrito cake cheese chocolate cookie cupcake curry dessert dumpling egg fruit
 lasagna meat muffin noodle omelette pancake pasta pie pizza porridge ravioli rice salad sandwich sausage
 soup steak stew sushi taco tart vegetable
dessert: brownie cake cookie cupcake custard icecream mousse pie pudding sorbet tart
fruit: apple apricot avocado banana blueberry cherry coconut grape grapefruit kiwi lemon lime mango melon
 peach pear pineapple plum raspberry strawberry watermelon
vegetable: asparagus bean beetroot broccoli cabbage carrot cauliflower celery cucumber eggplant garlic
 kale leek lettuce mushroom onion pea pepper potato pumpkin radish spinach tomato zucchini
drink: beer champagne cider cocktail coffee juice lemonade milk smoothie soda tea vodka water whiskey
 wine
meal: breakfast brunch dinner lunch supper
colour: beige black blue brown crimson gray green grey orange pink purple red silver turquoise violet
 white yellow
color: beige black blue brown crimson gray green grey orange pink purple red silver turquoise violet
 white yellow
hobby: baking birdwatching camping chess cooking crocheting cycling dancing drawing fishing gardening
 hiking knitting painting photography pottery puzzle reading running sailing sewing singing skating
 skiing surfing swimming woodworking writing yoga
activity: baking camping climbing cooking cycling dancing drawing fishing gardening hiking jogging
 kayaking knitting painting photography pottery reading running sailing sewing singing skating skiing
 surfing swimming volunteering walking writing yoga
art: drawing painting photography pottery sculpture sketch
book: author chapter fiction library novel poetry read trilogy
movie: cinema comedy film thriller trailer trilogy watch
film: cinema comedy movie thriller trailer watch
game: board cards chess checkers dominoes monopoly poker puzzle scrabble
competition: championship contest match race tournament
event: ceremony concert conference contest exhibition festival fundraiser gala meetup parade party
 tournament wedding workshop
holiday: christmas diwali easter halloween hanukkah ramadan thanksgiving vacation
job: accountant actor architect carpenter chef cleaner dentist doctor driver electrician engineer farmer
 journalist lawyer librarian manager mechanic nurse pharmacist pilot plumber programmer scientist
 secretary teacher waiter
profession: accountant actor architect carpenter chef dentist doctor electrician engineer farmer
 journalist lawyer librarian mechanic nurse pharmacist pilot plumber programmer scientist secretary
 teacher
vehicle: bicycle boat bus car ferry helicopter motorbike motorcycle plane ship tractor train tram truck
 van
clothes: blouse boots coat dress gloves hat hoodie jacket jeans pants scarf shirt shoes shorts skirt
 socks suit sweater trousers
furniture: armchair bed bench bookcase bookshelf chair couch cupboard desk dresser shelf sofa table
 wardrobe
flower: daffodil daisy iris lily orchid peony sunflower tulip
plant: basil bush cactus daisy fern flower orchid succulent sunflower tree tulip
tree: birch cedar elm fir maple oak palm pine spruce willow
weather: cloud cloudy fog hail humid rain snow storm sunny windy
illness: allergy arthritis asthma cancer covid diabetes fever flu infection migraine pneumonia
health: allergy asthma cancer diabetes diagnosis doctor flu hospital injury medicine sick surgery
injury: bruise burn concussion fracture sprain wound
subject: algebra biology chemistry economics geography geology history literature math maths philosophy
 physics psychology sociology
degree: bachelor diploma doctorate master phd
jewelry: bracelet brooch earring necklace pendant ring
tool: axe chisel hammer pliers screwdriver shovel wrench
device: camera computer headphones laptop phone printer tablet
season: autumn summer winter
metal: aluminium bronze copper silver steel
currency: dollar euro franc pound rupee yen yuan
building: cathedral church mosque museum palace skyscraper temple tower
"""


def _read(text: str) -> dict[str, tuple[str, ...]]:
    kinds: dict[str, list[str]] = {}
    for line in text.replace("\n ", " ").strip().splitlines():
        kind, _, words = line.partition(": ")
        for term in dict.fromkeys(terms_of(words)):
            kinds.setdefault(term, []).extend(terms_of(kind))
    return {term: tuple(dict.fromkeys(found)) for term, found in kinds.items()}


KINDS: Mapping[str, tuple[str, ...]] = _read(_KINDS_TEXT)
"""A term -> the terms of what it is a kind of."""


def kinds_of(terms: Sequence[str]) -> list[str]:
    """Returns the terms of the kinds of what a text names, each once, without what the text says itself."""
    if KINDS.keys().isdisjoint(terms):
        return []
    said = set(terms)
    return list({kind: None for term in terms if term in KINDS for kind in KINDS[term] if kind not in said})
