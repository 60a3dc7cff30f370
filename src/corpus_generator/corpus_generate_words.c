// SPDX-License-Identifier: Apache-2.0
// Words by topic. The order matters: earlier words occur more often.
#include "corpus_generator/corpus_generate_internal.h"

#define NOUNS [TITAN_WORD_NOUN] =
#define VERBS [TITAN_WORD_VERB] =
#define ADJECTIVES [TITAN_WORD_ADJECTIVE] =
#define PLACES [TITAN_WORD_PLACE] =
#define JOBS [TITAN_WORD_JOB] =
#define MATERIALS [TITAN_WORD_MATERIAL] =

const titan_topic_source titan_generate_topics[] = {
    {"farming",
     {NOUNS "field plough fence tractor barn harvest seed cart gate haystack ditch orchard sack scythe crop furrow "
            "bucket trough wagon pitchfork silo hedge beehive pasture stable sickle windmill milk_churn rake harness",
      VERBS "plant harvest plough feed/fed/fed water mend gather sell/sold/sold weigh mow sow milk shear carry stack",
      ADJECTIVES "muddy fertile dry ripe heavy green early golden wild sturdy barren dusty rich wet plain",
      PLACES "barn field market meadow mill orchard stable farmyard granary lane",
      JOBS "farmer shepherd miller beekeeper dairymaid ploughman fruit_grower vet",
      MATERIALS "wheat barley hay straw oats rye wool manure clover corn"}},
    {"the sea",
     {NOUNS "boat ship sail anchor net harbour lighthouse rope mast wave tide oar deck compass chart cabin barrel buoy "
            "lantern hull rudder pier voyage cargo reef current dock gangway porthole keel",
      VERBS "steer load sail haul repair row launch anchor sight paint unload chart rescue tow drag+",
      ADJECTIVES "salty calm rough distant deep grey stormy seaworthy slow battered blue foggy cold foreign swift",
      PLACES "harbour quay beach lighthouse island shipyard bay fish_market headland strait",
      JOBS "sailor fisherman captain pilot shipwright navigator lighthouse_keeper diver",
      MATERIALS "tar canvas salt rope_yarn oak copper coal driftwood sealskin brass"}},
    {"cooking",
     {NOUNS "kitchen pot pan spoon oven knife/knives recipe bowl plate stove kettle loaf/loaves apron jar basket menu "
            "dough sauce pie table tray ladle grater sieve dinner feast cup lid cookbook rolling_pin",
      VERBS "bake boil chop+ stir+ taste serve roast peel slice mix wash season fry knead cook",
      ADJECTIVES "hot sweet fresh salty tender bitter spicy crisp warm sour delicious creamy thick raw plain",
      PLACES "kitchen bakery restaurant pantry inn dining_room cellar canteen food_hall garden",
      JOBS "cook baker waiter butcher innkeeper pastry_chef confectioner food_critic",
      MATERIALS "flour sugar butter salt honey vinegar pepper rice olive_oil cinnamon"}},
    {"craft",
     {NOUNS
      "hammer chisel bench saw nail drill plank hinge wheel clock lock box chair ladder shelf/shelves vice drawer "
      "screw key bolt frame workbench anvil file lathe toolbox spring gear pulley cupboard",
      VERBS
      "build/built/built repair measure cut/cut/cut+ carve polish join sharpen glue fit+ sand forge assemble paint "
      "bend/bent/bent",
      ADJECTIVES
      "sharp wooden solid rusty broken smooth crooked sturdy precise old loose handmade heavy narrow careful",
      PLACES "workshop forge sawmill yard shed hardware_shop attic timber_yard factory studio",
      JOBS "carpenter blacksmith clockmaker joiner locksmith toolmaker apprentice cabinet_maker",
      MATERIALS "oak iron glue leather steel pine wire varnish brass sandpaper"}},
    {"school",
     {NOUNS "book lesson pupil teacher class essay desk pencil exam question answer library classroom notebook page "
            "blackboard map dictionary term mistake story timetable ruler prize sentence paragraph lecture bell "
            "homework_book satchel",
      VERBS
      "read/read/read learn teach/taught/taught explain copy write/wrote/written study correct answer repeat spell "
      "discuss memorise translate underline",
      ADJECTIVES
      "clever difficult quiet curious simple long patient correct bright strict new useful short young famous",
      PLACES "school library classroom playground hall university reading_room corridor bookshop museum",
      JOBS "teacher librarian headmaster student tutor professor schoolmistress examiner",
      MATERIALS "chalk ink paper grammar history geography latin arithmetic poetry cardboard"}},
    {"the forest",
     {NOUNS
      "tree path leaf/leaves branch nest mushroom stream cabin trail axe root bridge fire tent clearing acorn berry "
      "owl_box footprint log stump hollow campfire pinecone fern rucksack squirrel_nest hut torch signpost",
      VERBS "follow cross explore climb find/found/found gather burn chop+ hear/heard/heard track hide/hid/hidden "
            "leave/left/left "
            "protect watch count",
      ADJECTIVES "dark tall ancient green silent hidden damp mossy thick wild steep narrow misty lonely hollow",
      PLACES "forest clearing valley cabin ridge pinewood cave hillside glade swamp",
      JOBS "forester hunter woodcutter ranger hermit guide charcoal_burner botanist",
      MATERIALS "moss bark resin firewood bracken timber charcoal pine_needles clay peat"}},
    {"the market",
     {NOUNS "shop price coin customer basket stall bargain scale receipt shelf/shelves window purse bill counter "
            "discount order parcel merchant_guild auction ledger sign debt profit warehouse sample contract shipment "
            "catalogue wallet advertisement",
      VERBS "buy/bought/bought sell/sold/sold pay_for/paid_for/paid_for/paying_for weigh order deliver wrap+ count "
            "offer price "
            "return borrow advertise exchange pack",
      ADJECTIVES
      "cheap expensive fair busy crowded honest profitable popular rare local second-hand generous new small "
      "fashionable",
      PLACES "market shop square bank warehouse auction_house arcade counting_house fair high_street",
      JOBS "merchant shopkeeper trader banker grocer tailor jeweller auctioneer",
      MATERIALS "silk cotton spice tea coffee silver wool gold linen soap"}},
    {"music",
     {NOUNS "song violin piano concert melody drum choir stage flute note orchestra string rehearsal chord audience "
            "guitar dance opera trumpet verse score bow cello tune chorus harp microphone symphony rhythm band",
      VERBS
      "play sing/sang/sung compose practise hear/heard/heard conduct perform tune record applaud hum+ rehearse learn "
      "arrange whistle",
      ADJECTIVES
      "loud soft slow cheerful sad beautiful lively gentle famous modern solemn bright rhythmic simple strange",
      PLACES "concert_hall theatre stage opera_house studio music_room bandstand chapel club festival",
      JOBS "singer violinist composer pianist conductor drummer organist piano_tuner",
      MATERIALS "rosin sheet_music jazz folk_music velvet catgut brass ivory applause silence"}},
    {"medicine",
     {NOUNS "doctor patient fever bandage medicine hospital nurse cough wound bed clinic operation symptom pill cure "
            "bone heart ward thermometer prescription ambulance disease injection headache stretcher waiting_room lung "
            "treatment needle remedy",
      VERBS "treat cure examine nurse heal bandage diagnose visit prescribe vaccinate comfort "
            "operate_on/operated_on/operated_on/"
            "operating_on measure dissolve wash",
      ADJECTIVES
      "ill healthy weak painful careful pale serious tired feverish clean dangerous mild chronic urgent bitter",
      PLACES "hospital clinic pharmacy ward laboratory surgery sickroom health_centre sanatorium waiting_room",
      JOBS "doctor nurse surgeon pharmacist dentist midwife physician patient",
      MATERIALS "iodine alcohol gauze plaster penicillin quinine camphor cotton_wool ether blood"}},
    {"astronomy",
     {NOUNS "star planet telescope moon comet orbit lens observatory sky galaxy eclipse rocket meteor crater satellite "
            "constellation shadow ring measurement spectrum light_year equinox sunspot mirror signal theory probe "
            "horizon asteroid sunrise",
      VERBS "observe measure discover photograph calculate record predict name study detect launch describe sketch "
            "compare magnify",
      ADJECTIVES
      "bright distant faint round red invisible cold enormous clear regular dark tiny ancient brilliant unknown",
      PLACES "observatory planetarium mountain_top desert laboratory launch_site dome university control_room plateau",
      JOBS "astronomer physicist engineer astronaut mathematician lens_grinder stargazer professor",
      MATERIALS "hydrogen helium dust ice glass starlight gas iron nickel gravity"}},
    {"travel",
     {NOUNS
      "train ticket station suitcase road bridge passport hotel bus map journey platform tunnel carriage passenger "
      "engine timetable bicycle border luggage_rack guidebook taxi wheel delay departure airport compartment "
      "postcard ferry souvenir",
      VERBS
      "catch/caught/caught miss reach cross leave/left/left visit book drive/drove/driven board pack photograph pass "
      "explore delay rent",
      ADJECTIVES
      "long fast late foreign tired comfortable crowded remote punctual cheap distant famous winding noisy empty",
      PLACES "station hotel airport border ticket_office old_town platform capital hostel ferry_port",
      JOBS "conductor traveller driver porter pilot tour_guide engineer stationmaster",
      MATERIALS "steam luggage diesel asphalt gravel mail coal fog petrol baggage"}},
    {"sport",
     {NOUNS "game team ball goal match race coach medal player stadium record referee league final trophy net bat "
            "whistle training season jersey penalty marathon racket point champion hurdle spectator relay scoreboard",
      VERBS "win/won/won lose/lost/lost kick throw/threw/thrown catch/caught/caught train pass score defend watch "
            "beat/beat/beaten "
            "cheer coach time referee",
      ADJECTIVES
      "fast strong tired young fair exciting close skilful proud disappointed brave unbeaten nervous fit fierce",
      PLACES "stadium pitch gymnasium changing_room swimming_pool track court clubhouse ice_rink arena",
      JOBS "goalkeeper runner coach swimmer referee wrestler cyclist captain",
      MATERIALS "chalk grass rubber sweat sand applause resin tape ice mud"}},
    {"gardening",
     {NOUNS "garden flower rose spade bed lawn hedge bulb greenhouse seedling watering_can pond tulip weed fountain "
            "trellis snail wheelbarrow compost_heap petal shrub daisy vine bench gravel_path pot root thorn lily "
            "sunflower",
      VERBS
      "plant water prune weed dig/dug/dug+ rake trim+ grow/grew/grown pick mulch cut/cut/cut+ arrange admire fertilise "
      "transplant",
      ADJECTIVES
      "fragrant colourful shady tidy sunny wild delicate early evergreen overgrown white thorny yellow damp neat",
      PLACES "garden greenhouse park terrace orchard nursery courtyard allotment flower_show pond",
      JOBS "gardener florist botanist landscape_painter groundskeeper seed_merchant nurseryman bee_watcher",
      MATERIALS "compost soil peat ivy lavender gravel moss mint clay ash"}},
    {"the law",
     {NOUNS "court judge law trial witness crime contract lawyer letter vote council prison sentence jury clue alibi "
            "document thief/thieves detective testimony fine petition seal mayor meeting verdict treaty tax rule "
            "signature",
      VERBS "accuse defend sign question arrest prove believe judge steal/stole/stolen investigate forge report deny "
            "forbid/forbade/forbidden+ settle",
      ADJECTIVES
      "guilty innocent strict fair secret public honest legal suspicious important false official severe old "
      "doubtful",
      PLACES
      "court town_hall prison police_station archive parliament office council_chamber notary's_office crime_scene",
      JOBS "judge lawyer detective clerk mayor inspector notary constable",
      MATERIALS "evidence sealing_wax ink justice parchment testimony money fingerprint_powder gossip proof"}},
    {"the mountains",
     {NOUNS
      "summit glacier rope peak valley storm snowflake hut avalanche ridge cliff cloud path boot boulder waterfall "
      "ice_axe cable_car ravine shelter goat expedition backpack blizzard camp lake slope cairn pass echo",
      VERBS "climb reach cross survey rescue descend map+ conquer follow endure photograph mark explore name clear",
      ADJECTIVES
      "steep snowy high icy windy dangerous rocky clear cold exhausted frozen white breathtaking remote narrow",
      PLACES "summit hut valley base_camp pass glacier chapel ski_lift village_inn weather_station",
      JOBS "mountaineer guide shepherd geologist rescuer innkeeper surveyor skier",
      MATERIALS "snow granite ice fog slate limestone wool thin_air chocolate quartz"}},
    {"printing",
     {NOUNS "press newspaper page book letter headline column poster typewriter editor article margin printer proof "
            "machine deadline ink_roller edition reader stamp envelope pamphlet cover computer program screen error "
            "keyboard photograph archive",
      VERBS
      "print write/wrote/written publish edit copy bind/bound/bound read/read/read correct design draw/drew/drawn fold "
      "translate type sort cut/cut/cut+",
      ADJECTIVES
      "black daily printed late accurate bold anonymous weekly illustrated thin modern scarce noisy readable "
      "complete",
      PLACES "print_shop newsroom bookshop office paper_mill bindery archive reading_room post_office basement",
      JOBS "printer editor journalist bookbinder typesetter proofreader programmer photographer",
      MATERIALS "ink paper lead gossip news type_metal parchment glue cardboard data"}},
};

const int titan_generate_topic_count = sizeof titan_generate_topics / sizeof titan_generate_topics[0];

const char *const titan_generate_general_words[TITAN_WORD_CLASS_COUNT] = {
    NOUNS "day year way thing man/men woman/women child/children friend house hand door letter idea night room word "
          "problem neighbour window plan story voice box picture hour brother sister moment chair table promise street "
          "reason gift stone bottle candle bag secret rule visitor stranger decision coat umbrella mirror week",
    VERBS
    "see/saw/seen take/took/taken make/made/made find/found/found give_away/gave_away/given_away/giving_away "
    "keep/kept/kept bring/brought/brought want need use lose/lost/lost remember forget/forgot/forgotten+ "
    "show/showed/shown "
    "hold/held/held like hate open close move examine choose/chose/chosen describe mention notice prefer+ admire "
    "expect understand/understood/understood ignore hide/hid/hidden collect change finish draw/drew/drawn replace "
    "inspect touch drop+",
    ADJECTIVES "good new old small big great little young important different large bad happy strange quiet certain "
               "beautiful simple strong kind usual possible serious common dark warm bright heavy short calm useful "
               "pleasant ordinary proud empty perfect honest clever gentle lucky",
    PLACES "house street garden village town river church square bridge station",
    JOBS "clerk messenger cleaner watchman secretary translator poet widower orphan inventor",
    MATERIALS "water paper wood money time glass news advice sand stone",
    [TITAN_WORD_FOOD] =
        "bread cheese apple_pie onion_soup honey_cake roast_chicken pancakes porridge fish_stew dumplings "
        "potato_salad plum_jam rice_pudding lentils noodles pickled_cabbage fresh_figs goulash "
        "cr\u00eape_suzette risotto sauerkraut walnut_bread baked_trout tomato_soup gingerbread "
        "blackberry_tart omelette b\u0153uf_bourguignon jalape\u00f1o_stew br\u00f6tchen",
    [TITAN_WORD_ANIMAL] = "dog cat horse goat parrot rabbit donkey goose/geese sheep/sheep hen tortoise mouse/mice owl "
                          "pony fox ox/oxen canary ferret hedgehog crow lizard pigeon badger otter duck",
    [TITAN_WORD_COLOUR] = "red blue green yellow white black brown grey purple orange silver golden pink turquoise "
                          "crimson violet ivory scarlet",
    [TITAN_WORD_ADVERB] =
        "slowly quickly carefully quietly suddenly often always never again already soon usually rarely "
        "finally gladly patiently once twice secretly eagerly perfectly badly reluctantly proudly "
        "together alone",
    [TITAN_WORD_FEELING] =
        "happy angry surprised tired sad worried relieved proud curious afraid lonely grateful ashamed "
        "hopeful bored confused jealous calm disappointed delighted",
};
