"""The words that `generate` makes a library of."""


def separate(words: str) -> list[str]:
    return words.split()


FIRST_NAMES = separate("""
Ada Agnes Aisha Alba Alice Amara Ana Anaïs Anton Aoife Arthur Astrid Beatriz Björn Bruno Camille
Carlos Chiara Chinua Clara Dacia Dario Dimitri Edith Elena Elif Emma Esther Fatima Federico
Francesca Gabriel Giulia Grazia Hannah Haruki Helena Henrik Ibrahim Ines Ingrid Irène Isabel Italo
Ivana James Jorge José Júlia Karin Kazuo Kenji Laila Laura Leïla Leonardo Lucía Łukasz Maeve Margit
Maria Mateo Maya Miguel Milena Naguib Nadia Natalia Ngozi Nils Nora Olga Oscar Paolo Patrick
Primo Rachel Rafael Renée Rosa Ruth Salman Samira Seán Selma Sofía Søren Stefan Sunniva Sylvie
Tariq Teresa Thomas Tove Umberto Ursula Valeria Vasco Virginia Wisława Yara Yuki Zadie Zoë
""")

LAST_NAMES = separate("""
Abdullah Achebe Adler Almeida Amado Andersen Bachmann Banerjee Barbieri Bennett Bergström Bianchi
Blixen Bloom Borges Brandt Byrne Calvi Carvalho Castellanos Černý Conti Costa Dahl D'Angelo Deledda
Delgado Dubois Eklund Engström Esposito Fabbri Farah Ferrante Fischer Fontaine Fournier Gallo
García Gordimer Greco Haddad Hansen Hernández Hoffmann Ibsen Ishikawa Jansson Jónsdóttir Kaplan
Keller Khalil Kovács Kowalska Kurosawa Lagerlöf Lambert Leroy Levi Lindgren Lombardi Mahfouz
Mancini Marías Martinelli Mbeki Mendoza Moretti Müller Murakami Nakamura Neri Novák O'Brien Ocampo
Okafor Olsen Ortiz Pamuk Pavese Pereira Petrov Quiroga Ramos Ricci Rivera Romano Rossi Saramago
Schmidt Serrano Silva Singh Svensson Szabó Tanaka Teixeira Undset Vargas Vidal Weber Wójcik Woolf
Yılmaz Zambrano Zweig
""")

ADJECTIVES = separate("""
Absent Ancient Borrowed Broken Burning Crooked Distant Drowned Early Empty Endless Faithful
Forgotten Frozen Gentle Golden Hidden Hollow Invisible Last Little Long Lost Narrow Nameless Open
Painted Patient Quiet Restless Salt Second Secret Silent Sleeping Slow Small Stolen Sudden Tender
Unfinished Unwritten Upright Wandering White Wild Winter
""")

NOUNS = separate("""
Almanac Apothecary Archive Atlas Balcony Beekeeper Bridge Cartographer Cathedral Chandelier
Clockmaker Coast Comet Courtyard Daughter Ferryman Garden Glassblower Harbour House Inheritance
Island Journey Kitchen Lantern Library Lighthouse Map Market Meadow Mirror Moon Mountain Nightingale
Notebook Orchard Organist Pharmacist Piano Postman River Sailor Scholar Season Shoemaker Staircase
Stranger Summer Swallow Tailor Tide Tower Train Translator Valley Village Violin Voyage Widow
Window
""")

PLACES = separate("""
Bergamo Bologna Bruges Cádiz Cork Dakar Fez Galway Genoa Hanoi Istanbul Kraków Kyoto Lagos Lecce
Lisbon Ljubljana Lucca Malmö Mantua Matera Montevideo Naples Oaxaca Palermo Perugia Porto Prague
Ragusa Reykjavík Samarkand Sarajevo Siena Tangier Trieste Turin Valparaíso Venice Vilnius Zanzibar
""")

TITLES = [
    "The {adjective} {noun}",
    "The {adjective} {noun} of {place}",
    "The {noun} of {place}",
    "The {noun} and the {other}",
    "The {noun}'s {other}",
    "One {noun} in {place}",
    "{place}, {adjective} City",
    "{adjective} {place}",
    "Letters from {place}",
    "A Short History of the {noun}",
    "What the {noun} Knew",
    "One {adjective} {noun}",
    "Before the {noun}",
    "Seven Days in {place}",
]

SENTENCES = [
    "The {noun} of {place} finds a letter that was never meant to arrive.",
    "Three generations share one {adjective} house, and none of them can keep a secret.",
    "Nobody in {place} remembers the {noun}, until one winter evening.",
    "It begins with one {adjective} {noun} and ends, years later, on a platform in {place}.",
    "The author draws on the archives of {place} and on the talk of its kitchens.",
    "Part memoir and part mystery, it asks what the {noun} owes to those who stay behind.",
    "Told in short chapters, with maps, recipes and one {adjective} dictionary.",
    "Two sisters sell the {noun} and leave {place} before dawn.",
]

GENRES = [
    "Novel", "Short stories", "Poetry", "Mystery", "Science fiction", "Fantasy", "History",
    "Biography", "Memoir", "Travel", "Essays", "Philosophy", "Drama", "Children's books",
    "Young adult", "Natural history", "Science", "Art and architecture", "Music", "Cookery",
    "Comics and graphic novels", "Politics", "Religion", "Letters and diaries",
]  # fmt: skip

# Name, code, and how many books in a hundred are written in it.
LANGUAGES = [
    ("English", "en", 50), ("Italian", "it", 15), ("French", "fr", 8), ("Spanish", "es", 7),
    ("German", "de", 6), ("Portuguese", "pt", 4), ("Polish", "pl", 2), ("Arabic", "ar", 2),
    ("Japanese", "ja", 2), ("Swedish", "sv", 2), ("Turkish", "tr", 1),
    ("Norwegian Bokmål", "nb", 1),
]  # fmt: skip

PUBLISHERS = [
    "Aldine & Sons, London", "Edizioni del Porto, Genova", "Éditions du Quai, Lyon",
    "Faro, Lisboa", "Harbour Street Press, Dublin", "Kastanie Verlag, Zürich",
    "Oriel House, Cardiff", "Tipografia Nuova, Trieste", "Wydawnictwo Lipa, Kraków",
    "Zeppelin Books, New York",
]  # fmt: skip

OPINIONS = [
    "Could not put it down.",
    "I missed my stop twice because of this one.",
    "Slow to start, but the last hundred pages are worth the wait.",
    "Beautifully translated.",
    "Not for me: too many {adjective} metaphors about the {noun}.",
    "My grandmother told me this story differently.",
    "Perfect for a rainy weekend in {place} ☔",
    "Read it aloud to the children. They asked for it again 📚",
    "The chapter about the {noun} alone deserves five stars ⭐️",
    "I gave up halfway.\nThen I went back, and I am glad I did.",
    'As the author says, "every {noun} keeps its {adjective} promise".',
    "",
]

ANSWERS = [
    "I agree!",
    "Did we read the same book?",
    "Thank you, you made me borrow it.",
    "Wait until you reach the chapter in {place}.",
    "That is exactly why I liked it 🙂",
    "The {noun} was the best part, surely.",
]

REMARKS = {
    "book": [
        "Ask the publisher for a replacement of the torn map of {place}.",
        "On the list for the reading group in spring.",
        "Often asked for by the school in {place}: order more copies.",
    ],
    "bookinstance": [
        "Spine repaired.",
        "Coffee stain on page 12; still readable.",
        "Pencil notes in the margins. Signed: “{place}, 1987”.",
    ],
    "author": [
        "Read here in {place} last year; photographs are in the folder.",
        "Check the date of birth, two sources disagree.",
    ],
    "user": [
        "Prefers to be reached by post.",
        "Volunteers on Saturdays.",
        "Lost the card twice: new number given.",
    ],
}
